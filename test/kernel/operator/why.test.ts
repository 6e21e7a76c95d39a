import { beforeEach, expect, test } from "vitest";
import { cancelTasks, kinds } from "../../../src/kernel/operator/sql.ts";
import { switchOff, switchOn } from "../../../src/kernel/operator/switches/sql.ts";
import { type Why, whyTask } from "../../../src/kernel/operator/why.ts";
import { promote, sortLanes } from "../../../src/kernel/sql.ts";
import { Unrecoverable } from "../../../src/kernel/thrown.ts";
import { done, endLease, failed, sendTurn } from "../../support/kernel.ts";
import { ADA, type Bench, bench, MINUTE_MS } from "./fixture.ts";

let at: Bench;

beforeEach(async () => {
  at = await bench();
});

async function why(id: string): Promise<Why> {
  const found = await whyTask(at.store, id);
  if (found === undefined) throw new Error(`task ${id} is not there`);
  return found;
}

/** Claims one task with a new worker. */
async function claimOne() {
  const worker = await at.worker();
  const [row] = await sendTurn(at.store, { worker, claim: 1, limit: 1 });
  if (row === undefined) throw new Error("nothing was claimed");
  return { worker, row };
}

async function die(message: string): Promise<void> {
  const { worker, row } = await claimOne();
  await sendTurn(at.store, {
    worker,
    outcomes: [failed(row, 1, new Unrecoverable(message))],
    gone: [1],
  });
}

const reasonsOf = ({ reasons }: Why) => reasons.map((one) => one.reason);

test("R111a: a task that no worker knows says so, with its kind and queue, and what to start", async () => {
  const id = await at.enqueue();
  await at.worker({ queues: ["low"] });
  await at.advance(3 * MINUTE_MS);
  const told = await why(id);
  expect(reasonsOf(told)).toEqual(["no_worker"]);
  expect(told.line).toBe(
    "ready for 3m 0s: no live worker knows kind k in queue q; start `pawl work` with an app that defines it",
  );
});

test("R111a: a task in good order says how much is before it, and whether slots are free", async () => {
  await at.enqueue();
  await at.enqueue();
  const id = await at.enqueue();
  const worker = await at.worker();
  const told = await why(id);
  expect(told.reasons).toMatchObject([
    {
      reason: "queued",
      detail: { kind: "k", queue: "q", workers: 1, slots: 10, running: 0, before: 2 },
    },
  ]);
  expect(told.line).toMatch(
    /^ready for \d+ms: 2 before it; 1 live worker knows kind k, 10 of 10 slots are free, it starts in a moment$/,
  );
  await at.store.rows("update pawl.worker set running = 10 where id = $1", [worker]);
  expect((await why(id)).line).toContain("all 10 slots are taken; wait, start more workers");
});

test("R111a: a task behind a switch says who turned it off, since when, until when, and what turns it on", async () => {
  const id = await at.enqueue({ queue: "low" });
  await at.worker();
  await switchOff(at.store, {
    scope: "queue:low",
    ...ADA,
    until: new Date("2100-01-01T00:00:00Z"),
  });
  await at.advance(3 * MINUTE_MS);
  const told = await why(id);
  expect(told.reasons).toMatchObject([
    {
      reason: "off",
      since: expect.any(Date),
      until: new Date("2100-01-01T00:00:00Z"),
      detail: { scope: "queue:low", by: "ada", why: "erp down" },
    },
    { reason: "queued" },
  ]);
  expect(told.line).toBe(
    'ready, held: queue:low has been off for 3m 0s by ada ("erp down") until 2100-01-01T00:00:00Z; `pawl on queue:low`',
  );
  expect(reasonsOf(await why(await at.enqueue({ queue: "q" })))).toEqual(["queued"]);

  await switchOff(at.store, { scope: "all", by: "bob" });
  const twice = (await why(id)).line;
  expect(twice).toMatch(/^ready, held: /);
  expect(twice).toMatch(/all has been off for \d+ms by bob; `pawl on all`/);
  expect(twice).toContain("; `pawl on queue:low`");
  await switchOn(at.store, { scope: "all", by: "bob" });
  await switchOn(at.store, { scope: "queue:low", by: "bob" });
  expect(reasonsOf(await why(id))).toEqual(["queued"]);
});

test("R111a: a held task that no worker knows says both", async () => {
  const id = await at.enqueue({ queue: "low" });
  await switchOff(at.store, { scope: "queue:low", by: "ada" });
  expect((await why(id)).line).toMatch(
    /^ready, held: queue:low has been off .*; no live worker knows kind k in queue low; start `pawl work`/,
  );
});

test("R111a: a task whose queue has reached its limits says which, and when it may start", async () => {
  const first = await at.enqueue({ queue: "limited" });
  const id = await at.enqueue({ queue: "limited" });
  await claimOne();
  expect(reasonsOf(await why(first))).toEqual(["running"]);
  const told = await why(id);
  expect(told.reasons[0]).toMatchObject({
    reason: "concurrency",
    detail: { limit: 1, running: 1 },
  });
  expect(told.line).toBe(
    "ready, held: its queue runs 1 of at most 1 at once; the end of one frees a place",
  );

  await at.enqueue({ queue: "paced" });
  const paced = await at.enqueue({ queue: "paced" });
  const worker = await at.worker({ queues: ["paced"] });
  await sendTurn(at.store, { worker, claim: 1, limit: 5 });
  await at.advance(15_000);
  const rated = await why(paced);
  expect(rated.reasons[0]).toMatchObject({
    reason: "rate",
    until: expect.any(Date),
    detail: { limit: 1, perMs: MINUTE_MS, burst: 1 },
  });
  expect(rated.line).toMatch(
    /^ready, held: its queue starts at most 1 in 1m 0s; the next may start in 4[45](\.\d)?s$/,
  );
});

test("R111a: a task that every worker's host holds by a file or a variable names the hosts", async () => {
  const id = await at.enqueue({ queue: "low" });
  await at.worker({ host: "host-a", offHere: ["queue:low"] });
  await at.worker({ host: "host-b", offHere: ["all"] });
  const told = await why(id);
  expect(told.reasons).toMatchObject([
    { reason: "off_here", detail: { hosts: ["host-a", "host-b"] } },
  ]);
  expect(told.line).toContain(
    "a file or PAWL_OFF holds queue low on host-a, host-b, and no worker elsewhere knows kind k",
  );
  await at.worker({ host: "host-c" });
  expect(reasonsOf(await why(id))).toEqual(["queued"]);
});

test("R111a: a scheduled task says for when, after which failure, and how to start it now", async () => {
  const id = await at.enqueue({ run_at: "2100-01-01T00:00:00Z" });
  expect((await why(id)).line).toMatch(
    new RegExp(
      `^scheduled for 2100-01-01T00:00:00Z \\(in \\d+d \\d+h\\); \`pawl tasks retry ${id}\` starts it now$`,
    ),
  );
  const again = await at.enqueue();
  const { worker, row } = await claimOne();
  const outcome = { ...failed(row, 1, new Error("no route\nto host")), delayMs: MINUTE_MS };
  await sendTurn(at.store, { worker, outcomes: [outcome], gone: [1] });
  expect((await why(again)).line).toMatch(
    /^scheduled for \S+Z \(in (1m 0s|59\.\ds)\), attempt 2 after an error \("no route"\);/,
  );
  await at.advance(3 * MINUTE_MS);
  const late = await why(again);
  expect(late.reasons).toMatchObject([
    { reason: "scheduled", detail: { attempt: 1, isLate: true } },
  ]);
  expect(late.line).toMatch(
    /and due for (2m 0s|1m 59s): no live worker makes it ready; start `pawl work`$/,
  );
  await promote(at.store, 10);
  expect(reasonsOf(await why(again))).toEqual(["queued"]);
});

test("R111a: a running task says where and since when; then that it was asked to end; then that its worker is gone", async () => {
  const id = await at.enqueue();
  const { worker } = await claimOne();
  await at.advance(5 * MINUTE_MS);
  const told = await why(id);
  expect(told.reasons).toMatchObject([
    {
      reason: "running",
      since: expect.any(Date),
      detail: { workerId: String(worker), host: "host-a", pid: 4711, attempt: 1 },
    },
  ]);
  expect(told.line).toMatch(
    new RegExp(
      `^running for 5m 0s on worker ${worker} \\(host-a, pid 4711\\), attempt 1; .* or \`pawl tasks cancel ${id}\`$`,
    ),
  );
  await cancelTasks(at.store, [id], ADA);
  await at.advance(2_000);
  expect((await why(id)).line).toMatch(
    /; it was asked to end 2s ago, and does when its handler obeys/,
  );
  await endLease(at.store, worker);
  expect((await why(id)).line).toMatch(
    /; that worker's lease ran out 1m 0s ago, and any live worker/,
  );
});

test("R111a: a task in a lane says how many wait before it, and why the lane's head does not move", async () => {
  const lane = { lane: "order-7" };
  const head = await at.enqueue(lane);
  const second = await at.enqueue(lane);
  const third = await at.enqueue(lane);
  const arrived = await why(third);
  expect(arrived.reasons).toMatchObject([
    { reason: "arrived", detail: { lane: "order-7", workers: 0 } },
  ]);
  expect(arrived.line).toMatch(
    /^arrived in lane order-7 \d+ms ago .* no live worker gives it one; start `pawl work`$/,
  );

  await at.worker();
  expect((await why(third)).line).toMatch(/a worker gives it one within a second/);
  await sortLanes(at.store, 10);
  await at.advance(3 * MINUTE_MS);
  const told = await why(third);
  expect(told.reasons).toMatchObject([
    { reason: "lane", detail: { lane: "order-7", headId: head, before: 1 } },
  ]);
  expect(told.blockedBy).toMatchObject({ id: head, reasons: [{ reason: "queued" }] });
  expect(told.line).toMatch(
    new RegExp(
      `^waits in lane order-7 for 3m 0s, behind task ${head} \\(1 before it\\); task ${head}: ready for 3m 0s: 0 before it;`,
    ),
  );

  await die("no such customer");
  await at.advance(MINUTE_MS);
  const blocked = await why(second);
  expect(blocked.blockedBy).toMatchObject({
    id: head,
    reasons: [{ reason: "dead", detail: { reason: "unrecoverable", isBlocking: true } }],
  });
  expect(blocked.line).toBe(
    `waits in lane order-7 for 4m 0s, behind task ${head} (0 before it); task ${head}: dead letter for 1m 0s ` +
      `(unrecoverable, attempt 1) ("no such customer"), and lane order-7 waits for it; \`pawl dead retry ${head}\`, or \`pawl dead remove ${head}\``,
  );
});

test("R111a: what has ended says how and when, and what never was is unknown", async () => {
  const [good, unwanted] = [await at.enqueue(), await at.enqueue()];
  const { worker, row } = await claimOne();
  await sendTurn(at.store, { worker, outcomes: [done(row, 1)], gone: [1] });
  await cancelTasks(at.store, [unwanted], ADA);
  await at.advance(MINUTE_MS);
  expect((await why(good)).line).toBe("ended as done 1m 0s ago with attempt 1");
  expect((await why(unwanted)).line).toBe(
    'ended as cancelled 1m 0s ago without an attempt ("cancelled by ada: erp down")',
  );
  expect(await whyTask(at.store, "999999")).toBeUndefined();
});

test("the list of kinds counts the live workers that know each, as the reasons do", async () => {
  await at.worker({ queues: ["q"] });
  await at.worker({ queues: ["q", "low"] });
  await endLease(at.store, await at.worker());
  const workersOf = new Map((await kinds(at.store)).map((row) => [row.queue, row.workers]));
  expect([workersOf.get("q"), workersOf.get("low"), workersOf.get("paced")]).toEqual([2, 1, 0]);
});
