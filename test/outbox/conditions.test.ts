import { expect, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, nullDestination, on, type Pawl } from "../../src/index.ts";
import { events } from "../../src/outbox/sql.ts";
import { whyEvent } from "../../src/outbox/why.ts";
import { routeOnce } from "../support/delivery-catalogue.ts";
import { until } from "../support/until.ts";
import { shop } from "./operators-support.ts";

/** Of cubic time: a page of 45 KB takes minutes. */
const CUBIC = "$.payload[*] ? (exists ($.payload[*] ? (@.a == $.payload[*].a && @.a < 0))).a == 1";
const LONG = Array.from({ length: 4_000 }, (_, a) => ({ a }));

const NEVER = [
  "$ ? (@.payload.total > 5)",
  "$.payload.items[*] ? (@.price > 10)",
  "$.payload.total ? (@ > 5)",
  "strict $.payload.items[*] ? (@.price > 10)",
  '$.payload.text ? (@ like_regex "a[)](b[(])")',
  "$",
  "$.meta",
  "$.aggregateId",
  "$.payload.total + 1",
  "-$.payload.total",
  "$.payload.items.size()",
  "($.payload.total > 5).type()",
  "$.payload.total.type()",
  "$.payload.a.abs()",
  '"true"',
  "5",
  "null",
  "$.total > 5",
  "$.payloda.total > 5",
  '$.payload.a == "$.x" && exists($.b)',
  'exists($ ? ($."total x" > 1))',
];

const ANSWERS = [
  "$.payload.total > 5",
  "strict $.payload.total > 5",
  "exists($.payload.items[*] ? (@.price > 10))",
  "!($.payload.total > 5)",
  "!exists($.payload.gone)",
  "($.payload.total > 5) is unknown",
  '$.payload.text starts with "a"',
  '$.payload.text like_regex "^a(b|[(])" flag "i"',
  '$.payload.a == "$.x ? (1)" || $.payload."odd \\"name? (@)" == true',
  "$.payload.total + 1 < $.payload.limit * 2",
  "$.payload.active",
  "$.payload.flags[0]",
  "$.payload.items[*] ? (@.id == 1).active",
  "$.payload.** ? (@.id == 1) == 1",
  "($.payload.a == 1 || $.payload.b == 2) && !($.meta.c == 3)",
  "$.payload.items.size() > 3",
  '$.aggregateId == "8"',
  "true",
];

const badCondition = expect.objectContaining({
  code: "invalid_option",
  message: expect.stringMatching(/bad condition .*; (compare|its parts are)/s),
});

test("R84, R112: a condition that could never hold is refused in code, for operators and in SQL, and none that could", async () => {
  const { pawl, url } = await shop();
  for (const match of NEVER) {
    await expect(pawl.routes.add({ pattern: "a.*", to: "audit", match }), match).rejects.toThrow(
      badCondition,
    );
  }
  const app = defineApp({
    name: "other",
    destinations: { other: nullDestination() },
    routes: [on("a.*", { match: NEVER[0] ?? "" }).to("other")],
  });
  const connected = connect(app, { databaseUrl: url, log: silentLogger });
  await expect(connected.then((other) => other.work())).rejects.toThrow(badCondition);
  await connected.then((other) => other.close()).catch(() => undefined);
  const put = (given: object) =>
    pawl.store.rows("select pawl.put_route_v1(null, $1, 'ada', null)", [
      JSON.stringify({ pattern: "a.*", destination: "audit", ...given }),
    ]);
  await expect(put({ path: NEVER[0] })).rejects.toThrow(badCondition);
  for (const filter of [{ payloda: {} }, { meta: 5 }, { meta: ["a"] }, [], "payload", 5]) {
    await expect(put({ filter }), JSON.stringify(filter)).rejects.toThrow(
      expect.objectContaining({ code: "invalid_option", message: expect.stringMatching(/filter/) }),
    );
  }
  const before = (await pawl.routes.list()).length;
  for (const match of ANSWERS) await pawl.routes.add({ pattern: "a.*", to: "audit", match });
  await put({ filter: { payload: null, meta: {} } });
  await put({ filter: null });
  expect(await pawl.routes.list()).toHaveLength(before + ANSWERS.length + 2);
});

async function record(pawl: Pawl, payload: unknown, name = "order.placed"): Promise<string> {
  return (await pawl.record(name, { aggregate: ["order", "7"], payload })).id;
}

test("R80, R111a: a condition that gives no answer for an event shows on its route, and in why the event went nowhere", async () => {
  const { pawl } = await shop({
    routes: [
      on("order.*", { match: "$.payload.total > 100" }).to("audit"),
      on("order.*", { match: "$.payload.active" }).to("audit"),
      on("order.*", { match: '$.payload.at.datetime() < "2020-01-01 00:00:00+00".datetime()' }).to(
        "audit",
      ),
    ],
  });
  const faults = async () =>
    Object.fromEntries(
      (await pawl.routes.list()).map(({ match, fault }) => [
        /(total|active|at)/.exec(match ?? "")?.[0],
        fault,
      ]),
    );
  await record(pawl, { total: 5, active: false, at: "2021-01-01 00:00:00+00" });
  await record(pawl, { total: null });
  await record(pawl, {});
  await routeOnce(pawl.store);
  expect(await faults()).toEqual({ total: null, active: null, at: null });

  const id = await record(pawl, { total: "101", active: 1, at: "2021-01-01" });
  await routeOnce(pawl.store);
  const date = expect.any(Date);
  const noted = {
    total: { at: date, event: id, error: expect.stringMatching(/different types/) },
    active: { at: date, event: id, error: "it answers number, not one true or false" },
    at: { at: date, event: id, error: expect.stringMatching(/time zone/) },
  };
  expect(await faults()).toEqual(noted);
  expect((await whyEvent(pawl.store, id))?.line).toMatch(
    /no route matched .*; route \d+ \(order\.\* to audit\) gave no answer for it: it compares values/,
  );
  // at most one note a minute, and one event more is no reason for another
  await record(pawl, { total: "102", active: 1 });
  await routeOnce(pawl.store);
  expect(await faults()).toEqual(noted);
  const [first] = await pawl.routes.list();
  await pawl.routes.turnOff(first?.id ?? "");
  expect((await pawl.routes.turnOn(first?.id ?? "")).fault).toBe(null);
});

test("a condition that takes too long turns its route off, visibly; the others route, and the worker stops", async () => {
  const { pawl } = await shop({
    destinations: { audit: nullDestination(), erp: nullDestination(), alarm: nullDestination() },
    routes: [
      on("order.*").to("audit"),
      on("order.*", { match: CUBIC }).to("erp"),
      on("order.*", { match: "$.payload[*].a == 3999" }).to("erp"),
      on("pawl.route.*").to("alarm"),
    ],
  });
  const short = await record(pawl, [{ a: 1 }]);
  const long = await record(pawl, LONG);
  const verdicts = async () =>
    (await pawl.routes.test({ event: long })).routes.map(({ because }) => String(because));
  // a machine that stands still makes a quick one slow too, now and then
  await until("only the slow one is told as such", async () => {
    return (await verdicts()).sort().join() === "null,null,pattern,slow";
  });

  const worker = await pawl.work();
  const routed = await until("both are routed", async () => {
    const all = await events(pawl.store, { name: "order.%", limit: 9 });
    return all.every((event) => event.routedAt !== null) && all;
  });
  expect(routed.map(({ id, deliveries }) => [id, deliveries])).toEqual([
    [long, 2],
    [short, 1],
  ]);
  const off = (await pawl.routes.list()).filter(({ active }) => !active);
  expect(off[0]).toMatchObject({
    to: "erp",
    match: expect.stringContaining("exists"),
    active: false,
    offBy: "pawl",
    fault: { event: long, error: expect.stringMatching(/longer than 100 ms/) },
  });
  expect(off).toHaveLength(1);
  const [alarm] = await events(pawl.store, { name: "pawl.route.disabled", limit: 9 });
  expect(alarm).toMatchObject({
    payload: { route: off[0]?.id, destination: "erp", eventId: long },
  });
  const audit = await pawl.store.rows("select action, by from pawl.audit where target = $1", [
    `route:${off[0]?.id}`,
  ]);
  expect(audit).toEqual([{ action: "routes.turnOff", by: "pawl" }]);
  await worker.stop();
});

test("a worker stops beside a replay that asks a condition which takes too long", async () => {
  const { pawl } = await shop();
  await record(pawl, LONG);
  await routeOnce(pawl.store);
  await pawl.routes.add({ pattern: "order.*", to: "audit", match: CUBIC });
  const worker = await pawl.work();
  await pawl.replay({ name: "order.*", routed: true });
  await until("the step is asking the condition", async () => {
    const [row] = await pawl.store.rows(
      `select from pg_stat_activity where datname = current_database() and query like '%replay_step_v1%'
          and state = 'active' and pid <> pg_backend_pid()`,
    );
    return row !== undefined;
  });
  await worker.stop("100ms"); // given back, or timed out by its own limit at this moment
  expect(await pawl.store.rows("select ended_why from pawl.worker")).toEqual([
    { ended_why: "stopped" },
  ]);
  const left = await pawl.store.rows<{ state: string }>("select state from pawl.task");
  expect(left).toEqual([{ state: expect.stringMatching(/^(ready|scheduled)$/) }]);
});
