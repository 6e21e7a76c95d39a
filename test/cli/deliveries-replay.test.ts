import { describe, expect, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { connect, type ReplayRow } from "../../src/index.ts";
import { freshDatabase, rawClient } from "../support/database.ts";
import { endLease } from "../support/kernel.ts";
import { until } from "../support/until.ts";
import { CONFIG, type ErrorDocument, pawlJson, start } from "./cli.ts";
import app from "./fixture/pawl.config.ts";
import { here, hereJson } from "./here.ts";

function words(line: string): string[] {
  return line.split(" ");
}

async function project() {
  const { url } = await freshDatabase();
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  const cli = <T = Record<string, unknown>>(...args: string[]) =>
    hereJson<T>(url, ...args, "--config", CONFIG);
  const record = async (count: number) => {
    await pawl.store.rows(
      `insert into pawl.event (name, aggregate_type, aggregate_id, payload)
       select 'order.placed', 'order', g::text, '{}' from generate_series(1, $1::int) g`,
      [count],
    );
  };
  return { url, pawl, cli, record };
}

describe("pawl deliveries dispatch", () => {
  test("R91: one batch is routed and delivered in this process, and no more than its limit", async () => {
    const { pawl, cli, record } = await project();
    await record(7);
    expect(await cli("deliveries", "dispatch", "--limit", "5")).toEqual({
      dispatched: 5,
      destinations: [{ destination: "audit", status: "published", count: 5 }],
    });
    expect(await cli("deliveries", "dispatch", "--destination", "audit")).toMatchObject({
      dispatched: 2,
    });
    expect(await cli("deliveries", "dispatch")).toEqual({ dispatched: 0, destinations: [] });
    await pawl.close();
  });

  test("R91: what an operator made is delivered too, and alone where it is named", async () => {
    const { pawl, cli, record } = await project();
    await pawl.store.rows("select pawl.put_destination_v1($1, true, null, 'test', null)", [
      JSON.stringify({ name: "sink", type: "null", config: {}, queue: {} }),
    ]);
    await pawl.store.rows("select pawl.put_route_v1(null, $1, 'test', null)", [
      JSON.stringify({ pattern: "*", destination: "sink" }),
    ]);
    await record(3);
    expect(await cli(...words("deliveries dispatch --destination sink"))).toEqual({
      dispatched: 3,
      destinations: [{ destination: "sink", status: "published", count: 3 }],
    });
    expect(await cli("deliveries", "dispatch")).toEqual({
      dispatched: 3,
      destinations: [{ destination: "audit", status: "published", count: 3 }],
    });
    await pawl.close();
  });

  test("R91: jobs that wait are not run by it", async () => {
    const { pawl, cli } = await project();
    const { id } = await pawl.enqueue(app.jobs[0] as never, { n: 1 } as never);
    expect(await cli("deliveries", "dispatch")).toMatchObject({ dispatched: 0 });
    expect((await pawl.task(id))?.state).toBe("ready");
    await pawl.close();
  });

  test("a destination that is not there is refused with the nearest name", async () => {
    const { url, pawl } = await project();
    await expect(
      here(url, "deliveries", "dispatch", "--destination", "audti", "--config", CONFIG),
    ).rejects.toMatchObject({
      code: "unknown_destination",
      message: expect.stringContaining('"audit"'),
    });
    await pawl.close();
  });
});

describe("pawl deliveries rescue", () => {
  test("R91: what a dead worker ran goes back at once, and is counted", async () => {
    const { url, pawl, cli } = await project();
    expect(await cli("deliveries", "rescue")).toEqual({ rescued: 0, workers: [] });
    const { id } = await pawl.enqueue(app.jobs[1] as never, {} as never);
    const worker = start(["work", "--config", CONFIG], { url });
    await until("it runs", async () => (await pawl.task(id))?.state === "running");
    worker.process.kill("SIGKILL");
    await worker.finished;
    const [{ worker_id } = { worker_id: 0 }] = await pawl.store.rows<{ worker_id: number }>(
      "select worker_id from pawl.claim",
    );
    await endLease(pawl.store, worker_id);
    // a statement that the dead one had sent may still be under way: then a rescue passes by it
    const rescued = await until("it is rescued", async () => {
      const said = await cli<{ rescued: number }>("deliveries", "rescue");
      return said.rescued > 0 && said;
    });
    expect(rescued).toEqual({ rescued: 1, workers: [{ workerId: String(worker_id), tasks: 1 }] });
    expect((await pawl.task(id))?.state).not.toBe("running");
    await pawl.close();
  });
});

/** A second step of a replay waits for the test: however late the worker is killed, it has not made all. */
const STEPS_WAIT = [
  `create function step_waits() returns trigger language plpgsql as $$ begin
     if new.made > 50 then perform pg_advisory_xact_lock_shared(42); end if;
     return new;
   end $$`,
  "create trigger step_waits before update on pawl.replay for each row execute function step_waits()",
];

describe("pawl deliveries replay", () => {
  test("R92: a dry run counts and changes nothing; then it is started, listed and stopped", async () => {
    const { url, pawl, cli, record } = await project();
    await record(10);
    await cli("deliveries", "dispatch");
    const counted = await cli<{ count: number }>(
      "deliveries",
      "replay",
      "--name",
      "order.*",
      "--dry-run",
    );
    expect(counted).toMatchObject({
      dryRun: true,
      count: 10,
      destinations: [{ destination: "audit", made: 10 }],
    });
    expect(await cli("deliveries", "replays")).toEqual({ replays: [] });
    const { replay } = await cli<{ replay: ReplayRow }>(
      ...words("deliveries replay --name order.* --rate 1/h --why lost-there"),
    );
    expect(replay).toMatchObject({ state: "running", why: "lost-there", rateLimit: 1 });
    const listed = await here(url, "deliveries", "replays", "--config", CONFIG);
    expect(listed).toMatch(/running +0% +0 +0 +1\/h +order\.\*/);
    expect(await cli("deliveries", "replays", "stop", String(replay.id))).toMatchObject({
      wasRunning: true,
      replay: { state: "stopped" },
    });
    expect(await cli("deliveries", "replays", "stop", String(replay.id))).toMatchObject({
      wasRunning: false,
    });
    const { audit } = await cli<{ audit: { action: string }[] }>("audit");
    expect(audit.map((one) => one.action)).toEqual([
      "deliveries.replays.stop",
      "deliveries.replay",
      "deliveries.dispatch",
    ]);
    await pawl.close();
  });

  test("R92: a worker that is killed in the middle leaves nothing out and doubles nothing", async () => {
    const { url, pawl, cli, record } = await project();
    await record(300);
    await cli("deliveries", "dispatch", "--limit", "300");
    const { replay } = await cli<{ replay: ReplayRow }>(
      ...words("deliveries replay --all --rate 50/s"),
    );
    const made = async () => (await pawl.replays()).find((one) => one.id === replay.id)?.made ?? 0;
    for (const statement of STEPS_WAIT) await pawl.store.rows(statement);
    const holder = await rawClient(url);
    await holder.query("select pg_advisory_lock(42)");
    const first = start(["work", "--config", CONFIG], { url });
    await until("some are made", async () => (await made()) >= 50);
    first.process.kill("SIGKILL");
    await first.finished;
    expect(await made()).toBeLessThan(300);
    await holder.query("select pg_advisory_unlock(42)"); // the dead one's step may still end
    await pawl.work(); // rescues what the killed one ran, once its lease has run out
    await until("the replay has ended", async () => (await pawl.replays())[0]?.state === "done");
    expect(await made()).toBe(300);
    const [row] = await pawl.store.rows(
      `select count(*)::int as deliveries, count(distinct (event_id, destination_id))::int as pairs
         from pawl.delivery where replay = 1`,
    );
    expect(row).toEqual({ deliveries: 300, pairs: 300 });
    await pawl.close();
  });

  test.each([
    [[], /nothing is selected; give --event, --name, --from, --to or --dead, or --all/],
    [["--all", "--name", "a"], /both --all and a filter/],
    [["--dead", "--routed"], /both --dead and --routed/],
    [["--all", "--rate", "0/s"], /expected `--rate.limit` to be an integer from 1 to 100000/],
    [["--all", "--rate", "fast"], /got "fast"/],
    [["--name", "order placed"], /expected --name to be an event name/],
    [["--from", "yesterday"], /expected --from to be a time/],
    [["--event", "42"], /UUID/],
  ])("nonsense is refused before anything is asked: %j", async (args, message) => {
    await expect(
      here("postgresql://nobody@127.0.0.1:1/none", "deliveries", "replay", ...args),
    ).rejects.toThrow(message);
  });

  test("an event that is not there, one that nobody received, and no such replay have fixed exit codes", async () => {
    const { url, pawl } = await project();
    const { id } = await pawl.record("other.thing", { aggregate: ["a", 1], payload: {} });
    const missing = "019a0b6e-2f31-7c55-9d0a-3f1b8e6a4c21";
    const run = (...args: string[]) => pawlJson<ErrorDocument>(args, { url });
    expect(await run("deliveries", "replay", "--event", missing)).toMatchObject({
      code: 3,
      json: { error: { code: "event_not_found" } },
    });
    expect(await run("deliveries", "replay", "--event", id)).toMatchObject({
      code: 2,
      json: { error: { message: expect.stringContaining("not routed yet") } },
    });
    expect(await run("deliveries", "replays", "stop", "7")).toMatchObject({
      code: 3,
      json: { error: { code: "replay_not_found" } },
    });
    await pawl.close();
  });
});

describe("pawl events route", () => {
  test("R80: unrouted events are listed, and routed again once a route was added", async () => {
    const { pawl, cli } = await project();
    const { id } = await pawl.record("invoice.sent", { aggregate: ["invoice", 1], payload: {} });
    await pawl.record("order.placed", { aggregate: ["order", 1], payload: {} });
    await cli("deliveries", "dispatch");
    const list = () => cli<{ events: { id: string }[] }>("events", "list", "--unrouted");
    expect((await list()).events.map((one) => one.id)).toEqual([id]);
    expect(await cli("events", "route", "--dry-run")).toMatchObject({ count: 1 });
    expect(await cli("events", "route", "--name", "order.*")).toMatchObject({ count: 0 });
    expect(await cli("events", "route")).toMatchObject({ count: 1 });
    await cli("deliveries", "dispatch");
    expect((await list()).events.map((one) => one.id)).toEqual([id]);
    await pawl.store.rows("select pawl.put_route_v1(null, $1, 'test', null)", [
      JSON.stringify({ pattern: "invoice.*", destination: "audit" }),
    ]);
    expect(await cli("events", "route", id)).toMatchObject({ count: 1 });
    expect(await cli("deliveries", "dispatch")).toMatchObject({ dispatched: 1 });
    expect(await pawl.event(id)).toMatchObject({ status: "published", deliveries: 1 });
    await expect(cli("events", "route", id)).rejects.toMatchObject({
      code: "event_not_found",
      message: expect.stringContaining("it is published, not unrouted"),
    });
    await pawl.close();
  });
});

test("R105: pawl events prune counts first, then removes what was routed long ago, on record", async () => {
  const { pawl, cli } = await project();
  for (const n of [1, 2])
    await pawl.record("invoice.sent", { aggregate: ["invoice", n], payload: {} });
  await cli("deliveries", "dispatch");
  const gone = { events: 2, deliveries: 0 };
  expect(await cli("events", "prune", "--days", "1")).toMatchObject({ events: 0 });
  expect(await cli("events", "prune", "--days", "0", "--dry-run")).toEqual({
    dryRun: true,
    ...gone,
  });
  expect(await cli("events", "prune", "--days", "0", "--why", "test data")).toEqual({
    dryRun: false,
    ...gone,
  });
  expect(await cli("events", "list")).toEqual({ events: [] });
  const { audit } = await cli<{ audit: unknown[] }>("audit", "--target", "events");
  expect(audit).toMatchObject([
    { action: "events.prune", why: "test data", detail: { days: 0 } },
    { detail: { days: 1 } },
  ]);
  await pawl.close();
});
