/**
 * Runs the handler of a job in a thread of its own, so that a long computation holds up neither the other tasks of the
 * process nor its lease. As many threads as tasks run at once; one that is idle is used again, and ends after a while.
 */

import { AsyncResource } from "node:async_hooks";
import { Worker } from "node:worker_threads";
import { rawJson } from "../../base/json-text.ts";
import { unheard } from "../../base/unheard.ts";
import type { TaskContext } from "../../kernel/task.ts";
import { type Said, type Start, toError } from "./messages.ts";

const ENTRY = new URL("./entry.js", import.meta.url);
const IDLE_MS = 10_000;

interface Idle {
  thread: Worker;
  deafen: () => void;
  timer: NodeJS.Timeout;
}

export class Threads {
  readonly #url: URL;
  readonly #idle: Idle[] = [];
  #no = 0;

  constructor(url: URL) {
    this.#url = url;
  }

  /** Cancelling the task ends the thread, whatever it is doing. @throws what the handler threw, or what ended its thread */
  run(input: unknown, context: TaskContext): Promise<unknown> {
    const { signal } = context;
    signal.throwIfAborted();
    const thread = this.#take();
    this.#no += 1;
    const start = startOf(this.#no, input, context);
    return new Promise<unknown>((resolve, reject) => {
      const over = (isUsable: boolean) => {
        signal.removeEventListener("abort", abort);
        deafen();
        if (isUsable) this.#keep(thread);
        else end(thread);
      };
      const failed = (error: unknown) => {
        over(false);
        reject(error);
      };
      const abort = () => failed(signal.reason);
      signal.addEventListener("abort", abort);
      const deafen = listen(thread, {
        error: failed,
        messageerror: failed,
        exit: (code) =>
          failed(
            new Error(
              `the thread of ${this.#url.href} ended with exit code ${String(code)} in the middle`,
            ),
          ),
        message: AsyncResource.bind((given: unknown) => {
          const said = given as Said;
          if (said.no !== start.no) return undefined; // of the attempt that was there before
          if (said.what === "progress") return unheard(() => context.progress(rawJson(said.json)));
          if (said.what === "log") return context.log[said.level](said.data, said.message);
          over(true);
          if (said.what === "done") resolve(said.result);
          else reject(toError(said.error));
        }),
      });
      try {
        thread.postMessage(start);
      } catch (error) {
        failed(error); // an input that cannot be sent
      }
    });
  }

  #take(): Worker {
    const idle = this.#idle.pop();
    if (idle === undefined) return new Worker(ENTRY, { workerData: this.#url.href });
    clearTimeout(idle.timer);
    idle.deafen();
    idle.thread.ref();
    return idle.thread;
  }

  /** Does not keep the process alive. */
  #keep(thread: Worker): void {
    const leave = () => {
      const at = this.#idle.indexOf(idle);
      if (at >= 0) this.#idle.splice(at, 1);
      clearTimeout(idle.timer);
      idle.deafen();
      end(thread);
    };
    const deafen = listen(thread, { error: leave, exit: leave });
    const idle: Idle = { thread, deafen, timer: setTimeout(leave, IDLE_MS) };
    idle.timer.unref();
    thread.unref();
    this.#idle.push(idle);
  }
}

/** Returns what takes these listeners off, and no others: Node has its own on a worker. */
function listen(thread: Worker, listeners: Record<string, (given: unknown) => void>): () => void {
  for (const [event, heard] of Object.entries(listeners)) thread.on(event, heard);
  return () => {
    for (const [event, heard] of Object.entries(listeners)) thread.off(event, heard);
  };
}

function end(thread: Worker): void {
  thread.on("error", () => undefined); // its last words
  unheard(() => thread.terminate());
}

function startOf(no: number, input: unknown, context: TaskContext): Start {
  const { taskId, kind, queue, attempt, idempotencyKey, createdAt, meta, ref } = context;
  return {
    no,
    input,
    context: { taskId, kind, queue, attempt, idempotencyKey, createdAt, meta, ref },
  };
}
