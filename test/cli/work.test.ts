import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { connect, type Pawl } from "../../src/index.ts";
import { workers } from "../../src/kernel/operator/sql.ts";
import { freshDatabase, isLockAwaited, rawClient } from "../support/database.ts";
import { databaseProxy } from "../support/database-proxy.ts";
import { until } from "../support/until.ts";
import { CONFIG, pawl, pawlJson, pawlProcess, type Running, start } from "./cli.ts";
import app, { endless, hello } from "./fixture/pawl.config.ts";

let url: string;
let client: Pawl;
let clear: () => Promise<unknown>;

beforeAll(async () => {
  ({ url } = await freshDatabase());
  client = await connect(app, { databaseUrl: url, log: silentLogger });
  const raw = await rawClient(url);
  clear = () => raw.query("truncate pawl.task, pawl.claim, pawl.worker");
});
beforeEach(() => clear());
afterAll(() => client.close());

const work = (...args: string[]) =>
  start(["work", "--config", CONFIG, "-v", "--json", ...args], { url });

async function runningTask(): Promise<string> {
  const { id } = await client.enqueue(endless, {});
  await until("the task runs", async () => (await client.task(id))?.state === "running");
  return id;
}

const isOver = ({ process }: Running) => process.exitCode !== null || process.signalCode !== null;

test.each(["pawl.own_names_v1", "pawl.start_worker_v1"])(
  "R57: SIGTERM while a start waits for the database's answer to %s ends it within the grace, with exit code 0",
  async (statement) => {
    const proxy = await databaseProxy(url);
    const answer = proxy.holdAnswerTo(statement);
    const args = ["work", "--config", CONFIG, "--json", "--grace", "100ms"];
    const worker = start(args, { url: proxy.url });
    await until("it waits", () => answer.isHeld);
    worker.process.kill("SIGTERM");
    const { code, stdout } = await worker.finished;
    expect({ code, said: JSON.parse(stdout) }).toEqual({
      code: 0,
      said: { endedBy: "signal", givenBack: 0 },
    });
  },
);

test("R57: SIGTERM gives back what does not finish within the grace, uncounted, and the exit code is 0", async () => {
  const worker = work("--grace", "100ms");
  const id = await runningTask();
  worker.process.kill("SIGTERM");
  const { code, stdout } = await worker.finished;
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toEqual({ endedBy: "signal", givenBack: 1 });
  expect(await client.task(id)).toMatchObject({ state: "ready", attempt: 0 });
  expect(await workers(client.store)).toEqual([]);
});

test("R57: SIGTERM while it connects: no worker is started, and the exit code is 0", async () => {
  const blocker = await rawClient(url);
  const lock = "hashtextextended('pawl.register', 0)";
  await blocker.query(`select pg_advisory_lock(${lock})`);
  const worker = work();
  await until("it registers the app", () => isLockAwaited(blocker));
  worker.process.kill("SIGTERM");
  await until("it has heard it", () => worker.stderr().includes("stopping"));
  await blocker.query(`select pg_advisory_unlock(${lock})`);
  const { code, stdout } = await worker.finished;
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toEqual({ endedBy: "signal", givenBack: 0 });
  expect(await client.store.rows("select 1 from pawl.worker")).toEqual([]);
});

test("R57: a second signal ends the worker at once, without waiting for the grace", async () => {
  const worker = work("--grace", "1h");
  const id = await runningTask();
  await until("it has ended", () => {
    worker.process.kill("SIGINT"); // again and again: two within 200 ms count as one
    return isOver(worker);
  });
  expect((await worker.finished).code).toBe(1);
  expect(await client.task(id)).toMatchObject({ state: "running" });
});

test("R61: stop-workers ends a worker in another process, and --wait returns when it has ended", async () => {
  const worker = work("--grace", "100ms");
  const id = await runningTask();
  const stopped = await pawlJson(["stop-workers", "--wait"], { url });
  expect(stopped).toEqual({ code: 0, json: { asked: 1, ended: 1 } });
  expect(await workers(client.store)).toEqual([]);
  const { code, stdout } = await worker.finished;
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toEqual({ endedBy: "request", givenBack: 1 });
  expect(await client.task(id)).toMatchObject({ state: "ready", attempt: 0 });
  expect((await pawl(["stop-workers"], { url })).stdout).toBe("workers: 0 asked to stop\n");
});

test("work --until-idle does what is there, events included, and ends without the task that is due much later", async () => {
  const [now, soon, later] = await Promise.all([
    client.enqueue(hello, { n: 1 }),
    client.enqueue(hello, { n: 2 }, { delay: "500ms" }),
    client.enqueue(hello, { n: 3 }, { delay: "1h" }),
  ]);
  const event = await client.record("order.placed", { aggregate: ["order", 1], payload: {} });
  await client.enqueue(endless, {}); // in a queue that this worker does not take
  const { code, stdout } = await work("--until-idle", "--queues", "normal,destination:audit")
    .finished;
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toEqual({ endedBy: "idle", givenBack: 0 });
  const states = await Promise.all(
    [now, soon, later].map(async ({ id }) => (await client.task(id))?.state),
  );
  expect(states).toEqual(["done", "done", "scheduled"]);
  expect(await client.event(event.id)).toMatchObject({ status: "published" });
});

test("R20: `work --once --time-limit` leaves what a variable of its host holds to others, and ends", async () => {
  const low = await client.enqueue(endless, {});
  const normal = await client.enqueue(hello, { n: 1 });
  const once = async (off: string) => {
    const args = ["work", "--config", CONFIG, "--once", "--time-limit", "10m", "--json"];
    const { code, stdout } = await pawlProcess(args, { url, env: { PAWL_OFF: off } });
    return { code, json: JSON.parse(stdout) };
  };
  const stateOf = async ({ id }: { id: string }) => (await client.task(id))?.state;
  expect(await once("all")).toMatchObject({ code: 0, json: { endedBy: "idle" } });
  expect(await stateOf(normal)).toBe("ready");
  expect(await once("queue:low")).toMatchObject({ code: 0, json: { endedBy: "idle" } });
  expect([await stateOf(low), await stateOf(normal)]).toEqual(["ready", "done"]);
});

test("R6 R20 R57: a limit of tasks, of time or of memory ends the worker in good order", async () => {
  await client.enqueueMany(hello, [{ n: 1 }, { n: 2 }, { n: 3 }]);
  const limited = await work("--limit", "2", "--concurrency", "1").finished;
  expect(limited.code).toBe(0);
  expect(JSON.parse(limited.stdout)).toEqual({ endedBy: "limit", givenBack: 0 });
  const [normal] = (await client.stats()).queues.filter((row) => row.queue === "normal");
  expect(normal?.ready).toBe(1);
  const timed = await work("--time-limit", "1ms").finished;
  expect(timed.code).toBe(0);
  expect(JSON.parse(timed.stdout)).toMatchObject({ endedBy: "time limit" });
  const grown = await work("--memory-limit", "1M").finished;
  expect(grown.code).toBe(0);
  expect(JSON.parse(grown.stdout)).toMatchObject({ endedBy: "memory limit" });
});

test("R112: a queue that the app does not have is refused before anything runs", async () => {
  const { code, stderr } = await pawl(["work", "--config", CONFIG, "--queues", "hihg"], { url });
  expect(code).toBe(2);
  expect(stderr).toContain('no queue "hihg"; did you mean "high"?');
});

test("the worker's log is JSON lines on stderr, from warnings up unless -v is given", async () => {
  const verbose = await work("--until-idle").finished;
  const lines = verbose.stderr.trim().split("\n");
  expect(lines.map((line) => JSON.parse(line).msg)).toContain("worker started");
  const quiet = await pawlProcess(["work", "--until-idle", "--config", CONFIG], { url });
  expect(quiet).toMatchObject({ code: 0, stdout: "ended by idle, 0 tasks given back\n" });
  // none but where a machine stood still long enough to be worth a warning
  const levels = quiet.stderr.split("\n").filter((line) => line !== "");
  expect(levels.map((line) => JSON.parse(line).level).filter((level) => level !== "warn")).toEqual(
    [],
  );
});
