import { beforeAll, expect, test } from "vitest";
import { findTask, type TaskDetail } from "../../src/kernel/operator/sql.ts";
import { sortLanes } from "../../src/kernel/sql.ts";
import { Unrecoverable } from "../../src/kernel/thrown.ts";
import type { AuditRow } from "../../src/operate/sql.ts";
import { type Bench, bench } from "../kernel/operator/fixture.ts";
import { done, failed, sendTurn } from "../support/kernel.ts";
import { here, hereJson } from "./here.ts";

let at: Bench;

beforeAll(async () => {
  at = await bench();
});

const cli = (...args: string[]) => here(at.url, ...args);
const json = <T>(...args: string[]) => hereJson<T>(at.url, ...args);
const stateOf = async (id: string) => (await findTask(at.store, id))?.state;

/** Claims this very task, where it is the first of its shard. */
async function claim(id: string) {
  const worker = await at.worker();
  const [shard] = await at.store.rows<{ id: number }>(
    "select shard_id as id from pawl.task where id = $1",
    [id],
  );
  const [row] = await sendTurn(at.store, { worker, claim: 1, limit: 1, shards: [shard?.id ?? 0] });
  if (row?.id !== id) throw new Error(`claimed ${row?.id}, not ${id}`);
  return { worker, row };
}

async function runningTask(task: Record<string, unknown>): Promise<string> {
  const id = await at.enqueue(task);
  await claim(id);
  return id;
}

async function deadTask(key: string): Promise<string> {
  const id = await at.enqueue({ queue: "unblocked", key });
  const { worker, row } = await claim(id);
  await sendTurn(at.store, {
    worker,
    outcomes: [failed(row, 1, new Unrecoverable("no"))],
    gone: [1],
  });
  return id;
}

test("tasks cancel ends what waits, asks what runs, and says which; a dry run says the same and changes nothing", async () => {
  const [ready, later, running] = [
    await at.enqueue(),
    await at.enqueue({ delay_ms: 60_000 }),
    await runningTask({ queue: "paced" }),
  ];
  const ids = [ready, later, running];
  const answer = { action: "cancel", cancelled: [ready, later], requested: [running] };
  expect(await json("tasks", "cancel", ...ids, "--dry-run")).toEqual({ ...answer, dryRun: true });
  expect(await cli("tasks", "cancel", ...ids, "--dry-run")).toBe(
    `would cancel 2 tasks; would ask what runs to end: ${running}`,
  );
  expect(await Promise.all(ids.map(stateOf))).toEqual(["ready", "scheduled", "running"]);

  const act = ["--by", "ada", "--why", "ordered twice"];
  expect(await json("tasks", "cancel", ...ids, ...act)).toEqual({ ...answer, dryRun: false });
  expect(await Promise.all(ids.map(stateOf))).toEqual(["cancelled", "cancelled", "running"]);
  expect((await findTask(at.store, running))?.cancelRequestedAt).toBeInstanceOf(Date);
  const { audit } = await json<{ audit: AuditRow[] }>("audit", "--target", `task:${running}`);
  expect(audit).toMatchObject([{ by: "ada", action: "tasks.cancel", why: "ordered twice" }]);
});

test("one task that has ended, or is not there, and none is cancelled", async () => {
  const [id, gone] = [await at.enqueue(), await at.enqueue()];
  await cli("tasks", "cancel", gone);
  await expect(cli("tasks", "cancel", id, gone)).rejects.toMatchObject({
    code: "task_not_found",
    exitCode: 3,
    message: `task ${gone}: is not a live task, it is cancelled; see \`pawl tasks show ${gone}\``,
  });
  await expect(cli("tasks", "cancel", id, "999999")).rejects.toMatchObject({ exitCode: 3 });
  expect(await stateOf(id)).toBe("ready");
});

test("tasks retry sends the dead back to their queue and starts the scheduled now, each once, and none of another state", async () => {
  const dead = await deadTask("free");
  const taken = await deadTask("taken");
  await at.enqueue({ queue: "unblocked", key: "taken" });
  const later = await at.enqueue({ delay_ms: 60_000 });
  const ready = await at.enqueue();
  await expect(cli("tasks", "retry", later, ready)).rejects.toMatchObject({
    message: expect.stringContaining("is not a dead letter or scheduled task, it is ready"),
  });
  const ids = [dead, taken, later];
  expect(await cli("tasks", "retry", ...ids, "--dry-run")).toBe("would retry 3 tasks");
  expect(await Promise.all(ids.map(stateOf))).toEqual(["dead", "dead", "scheduled"]);
  expect(await json("tasks", "retry", ...ids)).toEqual({
    action: "retry",
    dryRun: false,
    count: 2,
    ids,
    duplicates: [taken],
  });
  expect(await Promise.all(ids.map(stateOf))).toEqual(["ready", "dead", "ready"]);
  expect(await cli("tasks", "retry", taken)).toBe(
    `retried 0 tasks; 1 stays dead, since a live task has the same key: ${taken}`,
  );
  expect(await cli("dead", "retry", taken)).toBe(
    `retried 0 dead letters; 1 stays dead, since a live task has the same key: ${taken}`,
  );
  expect(await json("dead", "retry", taken)).toMatchObject({
    count: 0,
    ids: [],
    duplicates: [taken],
  });
});

test("tasks reschedule moves what waits in time and priority, and is too late for what runs", async () => {
  const id = await at.enqueue();
  const moved = async (...args: string[]) =>
    (await json<{ task: TaskDetail }>("tasks", "reschedule", id, ...args)).task;
  expect(await moved("--at", "2100-01-31T12:00:00Z")).toMatchObject({
    state: "scheduled",
    runAt: "2100-01-31T12:00:00.000Z",
    priority: 1,
  });
  expect(await moved("--priority", "0")).toMatchObject({ state: "scheduled", priority: 0 });
  expect(await cli("tasks", "reschedule", id, "--in", "0", "--priority", "3")).toMatch(
    new RegExp(`^task ${id}: ready, not before \\S+Z, priority 3$`),
  );
  expect(await moved("--in", "2h")).toMatchObject({ state: "scheduled", priority: 3 });
  expect(await cli("audit", "--target", `task:${id}`)).toContain('"priority":3');

  const running = await runningTask({ queue: "limited" });
  await expect(cli("tasks", "reschedule", running, "--in", "5s")).rejects.toMatchObject({
    exitCode: 3,
    message: expect.stringContaining("is not a task that waits, it is running"),
  });
  const refused = (...args: string[]) => expect(cli("tasks", "reschedule", id, ...args)).rejects;
  await refused().toThrow(
    "expected --at or --in, or --priority, or one of the two with it; got none",
  );
  await refused("--in", "1s", "--at", "2100-01-31T12:00:00Z").toThrow("got both --at and --in");
  await refused("--at", "tomorrow").toThrow(
    '--at to be a time with its zone, such as 2030-01-31T12:00:00Z, got "tomorrow"',
  );
  await refused("--priority", "4").toThrow('--priority to be an integer from 0 to 3, got "4"');
});

test("tasks show and list say lane, key, expiry and what was asked, and of what lives why it is where it is", async () => {
  const lane = { queue: "low", lane: "order-7" };
  const head = await at.enqueue(lane);
  const id = await at.enqueue({ ...lane, key: "k-1", expires_at: "2100-01-31T12:00:00Z" });
  await sortLanes(at.store, 10);
  const shown = await cli("tasks", "show", id);
  expect(shown).toMatch(/^state +waiting$/m);
  expect(shown).toMatch(
    new RegExp(`^why +waits in lane order-7 for .*, behind task ${head} `, "m"),
  );
  expect(shown).toMatch(/^lane +order-7$/m);
  expect(shown).toMatch(/^key +k-1$/m);
  expect(shown).toMatch(/^expires +2100-01-31T12:00:00.000Z$/m);
  expect(await cli("tasks", "list", "--state", "waiting")).toMatch(
    new RegExp(`^ *${id} +waiting +low +k `, "m"),
  );
  expect(await cli("stats")).toMatch(/^low +1 +0 +1 +0 +0 +0 /m);

  const running = await runningTask({ queue: "unblocked", priority: 0 });
  await at.store.rows(`update pawl.task set progress = '{"done": 3}' where id = $1`, [running]);
  await cli("tasks", "cancel", running);
  const asked = await cli("tasks", "show", running);
  expect(asked).toMatch(/^cancel requested +\S+Z$/m);
  expect(asked).toMatch(/^why +running for .* it was asked to end /m);
  expect(asked).toMatch(/^progress\n {2}\{\n {4}"done": 3\n {2}\}$/m);

  const ended = await at.enqueue({ queue: "low", priority: 0 });
  const { worker, row } = await claim(ended);
  await sendTurn(at.store, { worker, outcomes: [done(row, 1)], gone: [1] });
  expect((await json<{ why: unknown }>("tasks", "show", ended)).why).toBeNull();
});
