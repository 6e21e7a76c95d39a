/** Runs in a job's thread: loads its module once, then runs one task after the other. */

import { fileURLToPath } from "node:url";
import { parentPort, workerData } from "node:worker_threads";
import { createJiti } from "jiti";
import { PawlError, shown } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import { read } from "../../base/thrown.ts";
import { unheard } from "../../base/unheard.ts";
import { progressJson } from "../../kernel/progress-json.ts";
import { type Said, type Start, type ThreadContext, toSent, type Word } from "./messages.ts";

type Handler = (input: unknown, context: ThreadContext) => unknown;

type Say = (word: Word) => void;

const sayerOf =
  (no: number): Say =>
  (word) =>
    parentPort?.postMessage({ no, ...word } satisfies Said);
const handler = load(String(workerData));
handler.catch(() => undefined); // told with each task

parentPort?.on("message", ({ no, input, context }: Start) => {
  const say = sayerOf(no);
  run(input, context, say).then(
    (result) => say({ what: "done", result }),
    (thrown: unknown) => say({ what: "failed", error: toSent(thrown) }),
  );
});

async function run(input: unknown, context: Start["context"], say: Say): Promise<unknown> {
  const handle = await handler;
  const progress = (value: unknown) =>
    say({ what: "progress", json: progressJson(context, value) });
  const result = await handle(input, { ...context, progress, log: logger(say) });
  structuredClone(result); // refused here, where it becomes the error of the task
  return result;
}

function logger(say: Say): Logger {
  const at = (level: keyof Logger) => (data: object, message: string) =>
    unheard(() => say({ what: "log", level, data, message }));
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/** Node 20 cannot run TypeScript by itself. */
async function load(url: string): Promise<Handler> {
  const isTypeScript = /\.[cm]?ts$/.test(new URL(url).pathname);
  const jiti = createJiti(import.meta.url, { interopDefault: false, fsCache: false });
  const loaded: unknown = isTypeScript ? await jiti.import(fileURLToPath(url)) : await import(url);
  const made = read(loaded, "default");
  if (typeof made === "function") return made as Handler;
  throw new PawlError(
    "config_failed",
    `thread ${url}: expected \`export default (input, context) => …\`, got ${shown(made)} as its default export`,
  );
}
