/** The items of one list that have not ended: some run at once, what fails is tried again. */

import { errorToJson } from "../../base/error-json.ts";
import { failure } from "../../kernel/outcome.ts";
import { retryDelayMs } from "../../kernel/retry.ts";
import type { ClaimedTask } from "../../kernel/task.ts";
import { UnderPolicy } from "../../kernel/thrown.ts";
import type { Each, ItemContext } from "../step.ts";
import { outputJson } from "./notes.ts";
import type { ItemList } from "./past.ts";
import type { ItemOutcome } from "./sql.ts";
import type { StepAttempt } from "./step-attempt.ts";
import { unrecorded } from "./unrecorded.ts";

/** An item that is due sooner is waited for in the claim. */
const WAIT_MS_MAX = 1_000;

interface Todo {
  readonly index: number;
  /** That comes now, from 1. */
  readonly attempt: number;
  readonly dueAt: number;
}

interface Verdict {
  outcome: ItemOutcome;
  /** Of those that were counted. */
  attempt: number;
  delayMs?: number;
}

export class Items {
  readonly #attempt: StepAttempt;
  readonly #spec: Each;
  readonly #list: ItemList;
  readonly #keys: readonly string[];
  /** The earliest is the last one. */
  #todo: Todo[] = [];
  #ended = 0;
  #failed = 0;
  #broken: { error: unknown } | undefined;

  constructor(
    attempt: StepAttempt,
    { spec, list, keys }: { spec: Each; list: ItemList; keys: readonly string[] },
  ) {
    this.#attempt = attempt;
    this.#spec = spec;
    this.#list = list;
    this.#keys = keys;
  }

  /** What failed in an earlier round runs again, with all of its attempts. */
  async load(): Promise<void> {
    const { task, recorder } = this.#attempt;
    const { no, items, round } = this.#list;
    const rows = new Map((await recorder.items(task.taskId, no)).map((row) => [row.item, row]));
    const now = performance.now();
    for (const index of items.keys()) {
      const found = rows.get(index);
      // what failed in an earlier round has not failed in this one
      const row = found?.outcome === "done" || found?.round === round ? found : undefined;
      if (row === undefined) this.#todo.push({ index, attempt: 1, dueAt: now });
      else if (row.outcome === "retry") {
        const { attempt, left_ms: leftMs } = row;
        this.#todo.push({ index, attempt: attempt + 1, dueAt: now + (leftMs ?? 0) });
      } else this.#count(row.outcome);
    }
    this.#todo.sort(later);
  }

  /** When the next one is due that did not run; undefined: all have ended. */
  get nextMs(): number | undefined {
    const next = this.#todo.at(-1);
    return next && Math.max(Math.ceil(next.dueAt - performance.now()), 0);
  }

  /** Until none is left that is due soon, or no more may start. @throws what kept an end from being recorded */
  async run(): Promise<void> {
    const lanes = Math.min(this.#spec.concurrency, this.#todo.length);
    await Promise.all(Array.from({ length: lanes }, () => this.#lane()));
    if (this.#broken !== undefined) throw this.#broken.error;
  }

  async #lane(): Promise<void> {
    const { task } = this.#attempt;
    for (;;) {
      const { nextMs } = this;
      if (nextMs === undefined || nextMs > WAIT_MS_MAX) return;
      if (task.signal.aborted || this.#broken !== undefined) return;
      if (!task.mayGoOn() || this.#attempt.quietMs > 0 || this.#attempt.isTooLong) return;
      if (nextMs > 0) {
        await new Promise((resolve) => setTimeout(resolve, nextMs));
        continue;
      }
      const next = this.#todo.pop();
      if (next !== undefined)
        await this.#one(next).catch((error: unknown) => (this.#broken ??= { error }));
    }
  }

  async #one(todo: Todo): Promise<void> {
    const attempt = this.#attempt;
    const { step, task, bytesMax } = attempt;
    const what = `output of item ${todo.index} of step "${step.name}"`;
    const place = { fence: task.fence, no: this.#list.no, item: todo.index };
    const { round } = this.#list;
    let output: string | null = null;
    let error: string | null = null;
    let verdict: Verdict = { outcome: "done", attempt: todo.attempt };
    try {
      const made = await attempt.inTime(async (signal) =>
        this.#spec.run(this.#list.items[todo.index], this.#context(todo, signal)),
      );
      output = outputJson(made, what, bytesMax);
    } catch (thrown) {
      if (task.signal.aborted) {
        this.#todo.push(todo); // it did not end
        return;
      }
      error = JSON.stringify(errorToJson(thrown));
      verdict = this.#judge(thrown, todo.attempt);
    }
    const ended = { ...place, round, ...verdict, output, error };
    try {
      await attempt.recorder.recordItem(ended, task.signal);
    } catch (refused) {
      const thrown = unrecorded(refused, `item ${todo.index} of step "${step.name}"`, "done");
      if (task.signal.aborted || thrown === refused || verdict.outcome !== "done") throw refused;
      verdict = { outcome: "failed", attempt: todo.attempt }; // it alone: the others can be recorded
      error = JSON.stringify(errorToJson(thrown));
      const failed = { ...place, round, ...verdict, error };
      await attempt.recorder.recordItem(failed, task.signal).catch((again: unknown) => {
        // the item is done: the step must not run it again by its policy
        throw task.signal.aborted || unrecorded(again, what, "done") === again ? again : thrown;
      });
    }
    this.#recorded(todo, verdict);
  }

  #recorded({ index }: Todo, { outcome, attempt, delayMs = 0 }: Verdict): void {
    if (outcome === "retry") {
      this.#todo.push({ index, attempt: attempt + 1, dueAt: performance.now() + delayMs });
      this.#todo.sort(later);
      return;
    }
    this.#count(outcome);
    const total = this.#list.items.length;
    this.#attempt.task.progress({ total, ended: this.#ended, failed: this.#failed });
  }

  #count(outcome: "done" | "failed"): void {
    this.#ended += 1;
    if (outcome === "failed") this.#failed += 1;
  }

  /** As the kernel judges attempts of tasks, by the step's policy. */
  #judge(thrown: unknown, attempt: number): Verdict {
    const { retry } = this.#attempt;
    const policyMs = retryDelayMs(retry, attempt, Math.random());
    const own = {
      attempts: retry.attempts,
      isSpent: attempt >= retry.attempts,
      delayMs: policyMs,
      untilMs: null,
    };
    const failed = failure(NO_TASK, new UnderPolicy(thrown, own));
    const { kind } = failed;
    const delayMs = Math.ceil(failed.delayMs ?? policyMs);
    if (kind === "recoverable" || kind === "snooze")
      return { outcome: "retry", attempt: attempt - 1, delayMs };
    const isSpent = own.isSpent || (kind !== "retry" && kind !== "timeout");
    return isSpent ? { outcome: "failed", attempt } : { outcome: "retry", attempt, delayMs };
  }

  #context({ index, attempt }: Todo, signal: AbortSignal): ItemContext {
    const { idempotencyKey: base, ...whole } = this.#attempt.context(signal);
    const { runId, process, version, step, input, outputs, data, log } = whole;
    const key = this.#keys[index] ?? String(index);
    const idempotencyKey = `${base}/${key}`;
    const of = { runId, process, version, step, input, outputs, data, signal, log };
    return { ...of, idempotencyKey, attempt, index, key };
  }
}

/** Only passed on. */
const NO_TASK = {} as ClaimedTask;

/** In the order of their times, then of the list; the earliest is the last one. */
function later(one: Todo, other: Todo): number {
  return other.dueAt - one.dueAt || other.index - one.index;
}
