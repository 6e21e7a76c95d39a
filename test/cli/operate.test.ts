import { beforeAll, expect, test } from "vitest";
import { switchOff } from "../../src/kernel/operator/switches/sql.ts";
import { sortLanes } from "../../src/kernel/sql.ts";
import { Unrecoverable } from "../../src/kernel/thrown.ts";
import { insertEvent } from "../../src/outbox/sql.ts";
import { type Bench, bench, MINUTE_MS } from "../kernel/operator/fixture.ts";
import { failed, sendTurn } from "../support/kernel.ts";
import { here, hereJson } from "./here.ts";

let at: Bench;

beforeAll(async () => {
  at = await bench();
});

const cli = (...args: string[]) => here(at.url, ...args);
const json = <T>(...args: string[]) => hereJson<T>(at.url, ...args);

test("R111a: why says in a sentence why a task does not move, and the same with its facts as JSON", async () => {
  const id = await at.enqueue({ queue: "low" });
  await at.worker();
  await switchOff(at.store, { scope: "queue:low", by: "ada", why: "erp down" });
  await at.advance(3 * MINUTE_MS);
  const line =
    'ready, held: queue:low has been off for 3m 0s by ada ("erp down"); `pawl on queue:low`';
  expect(await cli("why", id)).toBe(`task ${id}: ${line}`);
  expect(await json("why", id)).toEqual({
    id,
    line,
    reasons: [
      {
        reason: "off",
        since: expect.stringMatching(/Z$/),
        until: null,
        detail: { scope: "queue:low", by: "ada", why: "erp down" },
      },
      expect.objectContaining({ reason: "queued" }),
    ],
  });
});

test("R111a: why takes the id of an event or a source's name too, and nothing else; what is not there ends with exit code 3", async () => {
  const event = { name: "a.b", aggregateType: "a", aggregateId: "1", payload: "{}", meta: "{}" };
  const [row] = await insertEvent(at.store, event, null);
  const id = row?.id ?? "";
  expect(await cli("why", id)).toMatch(
    new RegExp(
      `^event ${id} a\\.b \\(pending\\): recorded .* not routed yet, 0 before it: no live worker routes it`,
    ),
  );
  expect(await json("why", id.toUpperCase())).toMatchObject({ id, deliveries: [] });
  await expect(cli("why", "999999")).rejects.toMatchObject({ code: "task_not_found", exitCode: 3 });
  await expect(cli("why", "019a0b6e-2f31-7c55-9d0a-3f1b8e6a4c21")).rejects.toMatchObject({
    code: "event_not_found",
  });
  await expect(cli("why", "order-7")).rejects.toThrow(
    'expected the id to be a number such as 42, the UUID of an event, source:<name>, command:<key> or schedule:<name>, got "order-7"',
  );
});

test("dead letters are listed, counted by what they died of, and changed by reason and lane", async () => {
  const lanes = ["order-1", "order-2", "order-2"];
  const ids = [];
  for (const lane of lanes) ids.push(await at.enqueue({ queue: "unblocked", lane }));
  await sortLanes(at.store, 10);
  const worker = await at.worker();
  for (let claim = 1; claim <= 2; claim += 1) {
    const rows = await sendTurn(at.store, { worker, claim, limit: 10 });
    const outcomes = rows.map((row) =>
      failed(row, claim, new Unrecoverable(`order ${row.id} is closed`)),
    );
    await sendTurn(at.store, { worker, outcomes, gone: [claim] });
  }
  const [first = ""] = ids;
  const list = await cli("dead", "list", "--lane", "order-1", "--reason", "unrecoverable");
  expect(list).toMatch(
    new RegExp(`^ *${first} +unblocked +k +unrecoverable +1 +\\S+Z +order-1 +order`, "m"),
  );
  expect(list.split("\n")).toHaveLength(2);
  expect(await cli("dead", "list", "--reason", "crashed")).toBe("none");
  const groups = await cli("dead", "list", "--groups");
  expect(groups).toMatch(
    /^ *3 +0 +unblocked +k +unrecoverable +\S+Z +\S+Z +\d+ +order # is closed$/m,
  );
  expect(await cli("dead", "list", "--groups", "--reason", "crashed")).toBe("none");
  await expect(cli("dead", "list", "--reason", "crash")).rejects.toThrow('did you mean "crashed"?');

  expect(await cli("dead", "retry", "--all", "--lane", "order-2", "--dry-run")).toBe(
    "would retry 2 dead letters",
  );
  expect(await cli("dead", "retry", "--all", "--reason", "crashed", "--dry-run")).toBe(
    "would retry 0 dead letters",
  );
  const act = ["--by", "ada", "--why", "reopened"];
  expect(await json("dead", "retry", "--all", "--lane", "order-2", ...act)).toEqual({
    action: "retry",
    dryRun: false,
    count: 2,
    duplicates: [],
  });
  expect(await cli("dead", "remove", "--all", "--reason", "unrecoverable", "--yes")).toBe(
    "removed 1 dead letter",
  );
  const audit = await cli("audit", "--target", `task:${ids[2]}`);
  expect(audit).toMatch(new RegExp(`^\\S+Z +ada +dead\\.retry +task:${ids[2]} +reopened +-$`, "m"));
});

test("prune says what goes, with --dry-run what would, and each run but a dry one is audited", async () => {
  await at.store.rows(
    `insert into pawl.finished (id, seq, stream_id, priority, attempt, outcome, created_at, run_at, finished_at, payload)
     select 1, 1, 1, 1, 1, 'done', pawl.now(), pawl.now(), pawl.now() - interval '8 days', '{}'`,
  );
  const rows = [{ partition: "finished_default", action: "delete", rows: 1 }];
  expect(await json("prune", "--dry-run")).toEqual({
    dryRun: true,
    partitions: rows,
    dropped: 0,
    deleted: 1,
    others: [],
  });
  expect(await cli("prune", "--dry-run")).toMatch(/would drop 0 partitions, would delete 1 row$/);
  expect(await json("prune")).toEqual({
    dryRun: false,
    partitions: rows,
    dropped: 0,
    deleted: 1,
    others: [],
  });
  expect(await cli("prune")).toBe("dropped 0 partitions, deleted 0 rows");
  expect(await json("audit", "--target", "history")).toMatchObject({
    audit: [
      { action: "history.prune", detail: null },
      { action: "history.prune", detail: null },
    ],
  });
});
