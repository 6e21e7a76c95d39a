/** `tasks cancel` and `tasks retry` of all that a filter finds. */

import { expect, test } from "vitest";
import { findTask } from "../../src/kernel/operator/sql.ts";
import type { Ended } from "../../src/kernel/operator/tasks/tasks.ts";
import { Unrecoverable } from "../../src/kernel/thrown.ts";
import type { AuditRow } from "../../src/operate/sql.ts";
import { bench } from "../kernel/operator/fixture.ts";
import { failed, sendTurn } from "../support/kernel.ts";
import { here, hereJson } from "./here.ts";

const BULK = ["--all", "--filter", "payload.bulk:1"];

async function opened() {
  const at = await bench();
  const cli = (...args: string[]) => here(at.url, "tasks", ...args);
  const json = <T>(...args: string[]) => hereJson<T>(at.url, ...args);
  const inBulk = (task: Record<string, unknown> = {}) =>
    at.enqueue({ ...task, payload: { bulk: 1 } });
  const running = async (queue: string) => {
    const id = await inBulk({ queue });
    const worker = await at.worker();
    const shards = await at.store.rows<{ id: number }>(
      "select shard_id as id from pawl.task where id = $1",
      [id],
    );
    const at1 = { worker, claim: 1, limit: 1, shards: shards.map((one) => one.id) };
    const [row] = await sendTurn(at.store, at1);
    if (row?.id !== id) throw new Error(`claimed ${row?.id}, not ${id}`);
    return { id, row, worker };
  };
  const dead = async () => {
    const { id, row, worker } = await running("unblocked");
    const outcomes = [failed(row, 1, new Unrecoverable("no"))];
    await sendTurn(at.store, { worker, outcomes, gone: [1] });
    return id;
  };
  const states = (ids: readonly string[]) =>
    Promise.all(ids.map(async (id) => (await findTask(at.store, id))?.state));
  return { at, cli, json, inBulk, running, dead, states };
}

test("R112: tasks cancel --all ends what a filter finds and asks what runs, a dry run first, and not without --yes", async () => {
  const { at, cli, json, inBulk, states, ...bulk } = await opened();
  const other = await at.enqueue();
  const { id: running } = await bulk.running("paced");
  const ids = [await inBulk(), await inBulk({ delay_ms: 60_000 }), await inBulk({ lane: "x" })];
  const dead = await bulk.dead();
  const cancel = (...args: string[]) => cli("cancel", ...BULK, ...args);

  expect(await cancel("--dry-run")).toBe(
    `would cancel 3 tasks; would ask what runs to end: ${running}`,
  );
  await expect(cancel()).rejects.toThrow("would cancel 4 tasks; add --yes to do it");
  expect(await cancel("--dry-run", "--limit", "2")).toBe(
    `would cancel 1 task; would ask what runs to end: ${running}; 2 more fit, beyond the limit`,
  );
  expect(await cancel("--dry-run", "--queue", "paced")).toContain("would cancel 0 tasks;");
  expect(await states(ids)).toEqual(["ready", "scheduled", "waiting"]);

  const cancelled = await json<Ended>("tasks", "cancel", ...BULK, "--yes", "--why", "wrong price");
  expect({ ...cancelled, cancelled: cancelled.cancelled.toSorted() }).toEqual({
    action: "cancel",
    dryRun: false,
    cancelled: ids,
    requested: [running],
    more: 0,
  });
  expect(await states(ids)).toEqual(ids.map(() => "cancelled"));
  expect(await states([running, other, dead])).toEqual(["running", "ready", "dead"]);
  const { audit } = await json<{ audit: AuditRow[] }>("audit", "--target", `task:${ids[2]}`);
  expect(audit).toMatchObject([{ action: "tasks.cancel", why: "wrong price" }]);
  expect(await cli("cancel", "--all", "--filter", "state:scheduled payload.bulk:1", "--yes")).toBe(
    "cancelled 0 tasks",
  );
});

test("R112: tasks retry --all takes the dead and the scheduled that a filter finds, up to a limit, the dead first", async () => {
  const { json, inBulk, states, ...bulk } = await opened();
  const dead = await bulk.dead();
  const ready = await inBulk();
  const later = [await inBulk({ delay_ms: 60_000 }), await inBulk({ delay_ms: 90_000 })];
  const retry = (...args: string[]) =>
    json("tasks", "retry", "--all", "--filter", "payload.bulk:1", ...args);
  const answer = { action: "retry", duplicates: [] };
  expect(await retry("--dry-run")).toEqual({
    ...answer,
    dryRun: true,
    count: 3,
    ids: [dead, ...later],
    more: 0,
  });
  expect(await retry("--limit", "2")).toEqual({
    ...answer,
    dryRun: false,
    count: 2,
    ids: [dead, later[0]],
    more: 1,
  });
  expect(await states([dead, ready, ...later])).toEqual(["ready", "ready", "ready", "scheduled"]);
  expect(await retry()).toMatchObject({ count: 1, ids: [later[1]] });
});

test("R112: tasks cancel and retry --all refuse an empty filter, one that is not theirs, and ids beside --all", async () => {
  const { cli } = await opened();
  const refused = (...args: string[]) => expect(cli(...args)).rejects;
  await refused("cancel", "--all", "--filter", "").toThrow("--filter is empty");
  await refused("cancel").toThrow("expected ids, or --all with or without filters; got neither");
  await refused("cancel", "42", "--all").toThrow("got both ids and --all");
  await refused("retry", "--filter", "kind:k").toThrow("got a filter without --all");
  await refused("cancel", "--all", "--filter", "state:dead").toThrow("not one of ready, scheduled");
  await refused("retry", "--all", "--filter", "state:running").toThrow(
    "not one of dead, scheduled",
  );
  await refused("cancel", "--all", "--kind", "kk", "--yes").toThrow('no kind "kk"');
});
