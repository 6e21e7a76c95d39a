import os from "node:os";
import { beforeAll, expect, test } from "vitest";
import type { QueueRow, SwitchRow } from "../../src/kernel/operator/switches/sql.ts";
import type { AuditRow } from "../../src/operate/sql.ts";
import { type Bench, bench } from "../kernel/operator/fixture.ts";
import { done, endLease, sendTurn } from "../support/kernel.ts";
import { until } from "../support/until.ts";
import { start } from "./cli.ts";
import { here, hereJson } from "./here.ts";

let at: Bench;

beforeAll(async () => {
  at = await bench();
});

const cli = (...args: string[]) => here(at.url, ...args);
const json = <T>(...args: string[]) => hereJson<T>(at.url, ...args);
const switches = async () => (await json<{ switches: SwitchRow[] }>("off")).switches;

test("off and on turn a scope off and on, and what is off is listed with who, why and until when", async () => {
  const off = await cli("off", "queue:low", "--why", "erp down", "--by", "ada", "--until", "30m");
  expect(off).toMatch(/^queue:low: off until \S+Z, nothing of it runs$/);
  const list = await cli("off");
  expect(list).toMatch(/^SCOPE +WHERE +RUNNING +BY +SINCE +UNTIL +WHY$/m);
  expect(list).toMatch(/^queue:low +everywhere +nothing +ada +\S+Z +\S+Z +erp down$/m);
  const [row] = await switches();
  expect(Number(new Date(row?.until ?? 0)) - Number(new Date(row?.since ?? 0))).toBe(30 * 60_000);

  await cli("off", "all");
  expect(await cli("on", "queue:low")).toMatch(/^queue:low: on; all is still off by \S+$/);
  expect(await cli("on", "queue:low")).toMatch(/^queue:low: was not off; all is still off/);
  expect(await json("on", "all")).toEqual({ scope: "all", wasOff: true, stillOff: [], hosts: [] });
  expect(await cli("off")).toBe("none");
});

test("who acts is the user of this machine unless --by says otherwise, and the audit tells", async () => {
  await cli("off", "queue:paced", "--until", "2100-01-31T12:00:00Z");
  await cli("on", "queue:paced", "--by", "bob", "--why", "done");
  const { audit } = await json<{ audit: AuditRow[] }>("audit", "--target", "queue:paced");
  expect(audit).toMatchObject([
    { by: "bob", action: "switches.on", target: "queue:paced", why: "done" },
    { by: `${os.userInfo().username}@${os.hostname()}`, action: "switches.off", why: null },
  ]);
  const text = await cli("audit", "--target", "queue:paced", "--limit", "1");
  expect(text).toMatch(/^AT +BY +ACTION +TARGET +WHY +DETAIL$/m);
  expect(text).toMatch(/^\S+Z +bob +switches.on +queue:paced +done +-$/m);
});

test("R112: a scope, an end or a person that cannot be meant is refused with what is near, and nothing is off", async () => {
  const refused = (...args: string[]) => expect(cli(...args)).rejects;
  await refused("off", "low").toMatchObject({
    code: "invalid_option",
    message:
      'expected a scope: "all", "queue:<name>", "kind:<name>", "process:<name>", "destination:<name>", "source:<name>", "schedule:<name>", "command:<name>", "group:<name>", "route:<id>"; got "low"; did you mean "queue:low"?',
  });
  await refused("off", "queue:lwo").toMatchObject({
    code: "unknown_queue",
    message: expect.stringContaining('did you mean "low"?'),
  });
  await refused("off", "quue:low").toThrow('did you mean "queue:low"?');
  await refused("off", "al").toThrow('did you mean "all"?');
  await refused("on", "everything").toThrow("known: all, kind:k, queue:");
  await refused("queues", "pause", "lwo").toThrow(
    'no queue "lwo" in this database; did you mean "low"?',
  );
  await refused("off", "all", "--until", "tomorrow").toThrow(
    '2030-01-31T12:00:00Z, or a duration such as 90s, 30m or 2d, got "tomorrow"',
  );
  await refused("off", "all", "--until", "2030-01-31T12:00:00").toThrow("--until");
  await refused("off", "all", "--until", "2000-01-01T00:00:00Z").toThrow(
    "expected the end to be in the future",
  );
  await refused("off", "all", "--by", " ").toThrow(
    '--by to be a text of 1 to 500 characters, got " "',
  );
  expect(await switches()).toEqual([]);
});

test("queues pause and resume are off and on of a queue, and the list shows limits and what holds each", async () => {
  await cli("queues", "pause", "low", "--by", "ada", "--why", "erp down", "--until", "90s");
  await at.worker({ host: "host-b", offHere: ["queue:low"] });
  const text = await cli("queues", "list");
  expect(text).toMatch(/^QUEUE +APP +RUNNING +LIMIT +RATE +ON DEAD +HELD$/m);
  expect(text).toMatch(
    /^low +test +0 +- +- +block +off by ada \("erp down"\) until \S+Z; off on host host-b$/m,
  );
  expect(text).toMatch(/^limited +test +0 +1 +- +block +-$/m);
  expect(text).toMatch(/^paced +test +0 +- +1 in 1m 0s, burst 1 +block +-$/m);
  const { queues } = await json<{ queues: QueueRow[] }>("queues", "list");
  expect(queues.find((row) => row.queue === "low")?.holds).toMatchObject([{ reason: "off" }]);
  expect(await cli("off")).toMatch(/^queue:low +host host-b +- +- +- +- +-$/m);
  expect(await cli("queues", "resume", "queue:low")).toBe(
    "queue:low: on; still off on host host-b: queue:low",
  );
});

test("off --wait shows on stderr what is left, and its exit code 0 says that nothing of the scope runs any more", async () => {
  await at.store.rows("update pawl.worker set ended_at = pawl.now() where ended_at is null");
  const id = await at.enqueue();
  const other = await at.enqueue({ queue: "low" });
  const worker = await at.worker();
  const lease = "update pawl.worker set lease_until = pawl.now() + interval '1 hour' where id = $1";
  await at.store.rows(lease, [worker]); // nobody renews it while the command starts
  const [first] = await sendTurn(at.store, { worker, claim: 1, limit: 1 });
  const [second] = await sendTurn(at.store, { worker, claim: 2, limit: 1 });
  const [row, claim] = first?.id === id ? [first, 1] : [second, 2];
  const waiting = start(["off", "queue:q", "--wait", "--json"], { url: at.url });
  await until("it has said what is left", () => waiting.stderr().endsWith("\n"));
  expect(waiting.stderr()).toBe(
    `pawl: queue:q is off, still running: 1 task: task ${id} (k, worker ${worker})\n`,
  );
  expect(waiting.process.exitCode).toBeNull();
  if (row === undefined) throw new Error("nothing was claimed");
  await sendTurn(at.store, { worker, outcomes: [done(row, claim)], gone: [claim] });
  const { code, stdout } = await waiting.finished;
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toEqual({
    scope: "queue:q",
    until: null,
    running: 0,
    leases: [],
    batches: 0,
  });
  // the other queue's goes on
  expect(await cli("off", "queue:low")).toBe("queue:low: off, still running: 1 task");
  expect(await cli("tasks", "list", "--state", "running")).toContain(other);
});

test("a wait ends with the tasks of a worker that died, though no other worker lives to rescue them", async () => {
  const [row] = await at.store.rows<{ worker_id: number }>("select worker_id from pawl.claim");
  await endLease(at.store, row?.worker_id ?? 0);
  expect(await json("off", "all", "--wait")).toEqual({
    scope: "all",
    until: null,
    running: 0,
    leases: [],
    batches: 0,
  });
});

test("a wait whose scope somebody turns on again fails, as it can promise nothing any more", async () => {
  await cli("on", "all");
  await cli("on", "queue:low");
  await cli("on", "queue:q");
  await at.enqueue();
  const worker = await at.worker();
  await sendTurn(at.store, { worker, claim: 1, limit: 1 });
  const waiting = cli("off", "all", "--wait");
  await until(
    "it waits",
    async () => (await at.store.rows("select 1 from pawl.switch")).length > 0,
  );
  await at.store.rows("select pawl.on_v1('all', 'eve', null)");
  await expect(waiting).rejects.toMatchObject({
    code: "not_stopped",
    exitCode: 1,
    message: expect.stringContaining("pawl audit --target all"),
  });
});
