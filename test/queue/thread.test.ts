import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { threadId } from "node:worker_threads";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob, type Pawl, type RunningWorker } from "../../src/index.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";
import type { ThreadInput } from "./fixture/thread.ts";

const MODULE = new URL("./fixture/thread.ts", import.meta.url);
const input = z.object({
  what: z.enum(["id", "busy", "throw", "exit", "later", "leave", "after", "large"]),
  file: z.string().optional(),
});
const computed = defineJob({ name: "computed", input, thread: MODULE, retry: { attempts: 1 } });
const short = defineJob({
  name: "short",
  input,
  thread: MODULE,
  timeout: "1s",
  retry: { attempts: 1 },
});
const quick = defineJob({ name: "quick", input: z.object({}), run: () => "done" });

let pawl: Pawl;
let worker: RunningWorker;
let folder: string;
const logged: string[] = [];

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "pawl-thread-"));
  const { url } = await freshDatabase({ longLeases: true });
  const app = defineApp({ name: "shop", jobs: [computed, short, quick] });
  const info = (data: object, message: string) =>
    void logged.push(JSON.stringify({ ...data, message }));
  pawl = await connect(app, { databaseUrl: url, log: { ...silentLogger, info } });
  worker = await pawl.work({ concurrency: 4 });
});
afterAll(async () => {
  await pawl.close();
  rmSync(folder, { recursive: true });
});

const start = (what: ThreadInput["what"], more: { file?: string } = {}, job = computed) =>
  pawl.enqueue(job, { what, ...more });

async function ended(id: string) {
  return until("the task has ended", async () => {
    const task = await pawl.task(id);
    return task !== undefined && ["done", "dead", "cancelled"].includes(task.state) && task;
  });
}

const fileOf = (name: string) => path.join(folder, name);

/** Of this process, by their numbers. */
function liveThreads(): number[] {
  const { workers } = process.report.getReport() as {
    workers: { header: { threadId: number } }[];
  };
  return workers.map(({ header }) => header.threadId);
}

/** Of the thread that wrote the file. */
const threadOf = (file: string) =>
  until(
    "the loop runs",
    () => (existsSync(file) && Number(readFileSync(file, "utf8"))) || undefined,
  );

test("R98: a handler in a thread that computes without a pause costs neither the lease nor the tasks beside it", async () => {
  const file = fileOf("busy");
  const { id } = await start("busy", { file });
  const thread = await threadOf(file);
  expect(liveThreads()).toContain(thread);
  const lease = async () => {
    const [row] = await pawl.store.rows<{ until: string }>(
      "select lease_until::text as until from pawl.worker",
    );
    return row?.until;
  };
  const before = await lease();
  expect((await ended((await pawl.enqueue(quick, {})).id)).state).toBe("done");
  await until("the lease is renewed", async () => (await lease()) !== before);
  const said = await until("its progress is shown", async () => {
    const task = await pawl.task(id);
    return task?.progress !== null && task?.progress;
  });
  expect(said).toEqual({ what: "busy" });
  writeFileSync(`${file}.end`, "");
  const { state, result } = await ended(id);
  expect(state).toBe("done");
  expect(result).toMatchObject({ attempt: 1, key: `task-${id}` });
  expect(result).not.toMatchObject({ threadId });
  expect(logged.some((line) => line.includes("in the thread") && line.includes(id))).toBe(true);
});

test("R98: a cancel and a timeout end the thread in the middle of a loop", async () => {
  const [cancelled, late] = [fileOf("cancelled"), fileOf("late")];
  const { id } = await start("busy", { file: cancelled });
  const thread = await threadOf(cancelled);
  await pawl.tasks.cancel(id, { why: "not needed" });
  expect((await ended(id)).state).toBe("cancelled");
  await until("its thread has ended", () => !liveThreads().includes(thread));
  const before = liveThreads();
  const timedOut = await ended((await start("busy", { file: late }, short)).id);
  expect(timedOut).toMatchObject({ state: "dead", error: { code: "handler_timeout" } });
  await until("that of the other, too", () => liveThreads().every((one) => before.includes(one)));
  expect(worker.running).toBe(0);
});

test("what a handler throws in its thread is the error of the task, with name, code and data; RetryAfter decides the next time", async () => {
  expect(await ended((await start("throw")).id)).toMatchObject({
    state: "dead",
    error: { name: "TypeError", message: "wrong page", code: "EPAGE", data: { page: 7 } },
  });
  const { id } = await pawl.enqueue(computed, { what: "later" }, { maxAttempts: 2 });
  const later = await until("it waits", async () => {
    const task = await pawl.task(id);
    return task?.state === "scheduled" && task;
  });
  expect(later.runAt.getTime() - Date.now()).toBeGreaterThan(3_000_000);
});

test("a thread that exits is a failed attempt, and the next task gets another one", async () => {
  expect(await ended((await start("exit")).id)).toMatchObject({
    state: "dead",
    error: { message: expect.stringContaining("ended with exit code 3") },
  });
  expect((await ended((await start("id")).id)).state).toBe("done");
});

test("a module without a default export fails each attempt and says so; a job has a handler or a thread, not both", async () => {
  const none = { name: "none", input, thread: new URL("../support/until.ts", import.meta.url) };
  const job = defineJob(none);
  const context = { signal: new AbortController().signal } as never;
  await expect(job.run({ what: "id" }, context)).rejects.toMatchObject({
    code: "config_failed",
    message: expect.stringContaining("expected `export default (input, context) => …`"),
  });
  const both = { ...none, run: () => 1 } as never;
  expect(() => defineJob(both)).toThrow("expected `thread` or `run`, got both");
  const path = { ...none, thread: "./until.ts" } as never;
  expect(() => defineJob(path)).toThrow("expected `thread` to be the URL of a file");
});

/** Runs a task in a thread of the job, and returns what its context heard. */
async function heardBy(job: typeof computed, what: ThreadInput["what"]): Promise<unknown[]> {
  const heard: unknown[] = [];
  const info = (_: object, message: string) => void heard.push(message);
  await job.run({ what }, {
    taskId: "1",
    kind: "spoken",
    signal: new AbortController().signal,
    progress: (value: unknown) => void heard.push(JSON.parse(JSON.stringify(value))),
    log: { ...silentLogger, info },
  } as never);
  return heard;
}

test("R98: what the last task of a thread says late is not taken for the next one's, nor for its own next attempt's", async () => {
  const spoken = defineJob({ name: "spoken", input, thread: MODULE });
  expect(await heardBy(spoken, "leave")).toEqual(["in the thread", { what: "leave" }]);
  expect(await heardBy(spoken, "after")).toEqual([
    "in the thread",
    { what: "after" },
    "after the late words",
  ]);
});

test("R98: a progress that is too large is refused in the thread as it is elsewhere", async () => {
  const spoken = defineJob({ name: "spoken", input, thread: MODULE });
  await expect(heardBy(spoken, "large")).rejects.toMatchObject({
    code: "payload_too_large",
    message: expect.stringContaining("progress of task 1 (spoken)"),
  });
});

test("R98 R112: a worker whose job has a thread in a file that is not there does not start; a client that only enqueues needs no file", async () => {
  const { url } = await freshDatabase();
  const thread = pathToFileURL(path.join(folder, "nothing.ts"));
  const spoken = defineJob({ name: "spoken", input, thread });
  const client = await connect(defineApp({ jobs: [spoken] }), {
    databaseUrl: url,
    log: silentLogger,
  });
  onTestFinished(() => client.close());
  await client.enqueue(spoken, { what: "leave" });
  await expect(client.work()).rejects.toMatchObject({
    code: "invalid_option",
    message: expect.stringMatching(/job "spoken": expected `thread` .* got "file:.*nothing\.ts"/),
    data: { option: "thread" },
  });
});
