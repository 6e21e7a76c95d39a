import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { SCOPE_KINDS } from "../../src/base/scope.ts";
import {
  connect,
  defineApp,
  defineJob,
  defineProcess,
  defineSource,
  nullDestination,
  on,
  type Pawl,
} from "../../src/index.ts";
import { pawlJson } from "../cli/cli.ts";
import { movableClock } from "../support/clock.ts";
import { freshDatabase } from "../support/database.ts";
import { events, inboxApp } from "../support/inbox-app.ts";
import { present } from "../support/present.ts";
import { until } from "../support/until.ts";

const HOUR_MS = 3_600_000;

async function shop(): Promise<{ pawl: Pawl; url: string; route: string }> {
  const { url } = await freshDatabase();
  const app = defineApp({
    queues: { low: {} },
    jobs: [defineJob({ name: "mail", input: z.object({}), run: () => undefined })],
    processes: [
      defineProcess({
        name: "approval",
        version: 1,
        input: z.object({}),
        steps: (s) => s.wait("approved"),
      }),
    ],
    sources: [defineSource({ name: "orders", fetch: async () => [] })],
    destinations: { erp: nullDestination(), "a.b": nullDestination() },
    routes: [on("order.*").to("erp")],
  });
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  onTestFinished(() => pawl.close());
  const [route] = await pawl.routes.list();
  return { pawl, url, route: route?.id ?? "" };
}

test("R103a: a scope is read and printed in the same way in SQL and in TypeScript", async () => {
  const { pawl, route } = await shop();
  const kinds = await pawl.store.rows<{ kind: string }>(
    "select kind from pawl.scope_kind order by kind",
  );
  expect(kinds.map((row) => row.kind)).toEqual([...SCOPE_KINDS].sort());
  const typed = {
    "queue:low": "queue:low",
    "kind:mail": "kind:mail",
    "process:approval": "process:approval",
    "destination:erp": "destination:erp",
    "queue:destination:a.b": "destination:a.b",
    "source:orders": "source:orders",
    [`route:${route}`]: `route:${route}`,
  };
  for (const [text, printed] of Object.entries(typed)) {
    expect(await pawl.switches.off(text)).toMatchObject({ scope: printed, until: null });
    const { switches } = await pawl.switches.list();
    expect(switches.map((row) => row.scope)).toEqual([printed]);
    const [sql] = await pawl.store.rows<{ text: string }>(
      "select pawl.scope_text(s.scope, s.name) as text from pawl.scope_of($1) s",
      [text],
    );
    expect(sql?.text).toBe(printed);
    const [audited] = await pawl.audit.list({ target: printed, limit: 1 });
    expect(audited?.target).toBe(printed);
    expect(await pawl.switches.on(printed)).toMatchObject({ wasOff: true });
  }
});

test.each([
  ["queue:lwo", "unknown_queue", 'no queue "lwo" in this database; did you mean "low"?'],
  ["destination:epr", "unknown_destination", 'did you mean "erp"?'],
  ["source:oders", "source_not_found", 'did you mean "orders"?'],
  ["route:999", "route_not_found", 'no route "999" in this database'],
  ["orders", "invalid_option", 'did you mean "source:orders"?'],
  ["erp", "invalid_option", 'did you mean "destination:erp"?'],
  [
    "process:approvl",
    "unknown_kind",
    'no process "approvl" in this database; did you mean "approval"?',
  ],
  ["kind:approval", "unknown_kind", 'no kind "approval" in this database'],
  ["step:x", "invalid_option", 'expected a scope: "all", "queue:<name>"'],
  ["queue:", "invalid_option", "expected a scope"],
])(
  "R103a: the scope %s is refused with %s and what is near, in code and in SQL, and nothing is off",
  async (scope, code, message) => {
    const { pawl } = await shop();
    await expect(pawl.switches.off(scope)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
    });
    await expect(
      pawl.store.rows("select pawl.off_v1($1, 'ada', null, null)", [scope]),
    ).rejects.toMatchObject({ code });
    expect((await pawl.switches.list()).switches).toEqual([]);
  },
);

test("R38 R103a: a source turned off with an end says so, is asked for nothing, and goes on by itself", async () => {
  let asked = 0;
  const orders = defineSource({
    name: "orders",
    gap: 0,
    idle: "10ms",
    fetch: async () => {
      asked += 1;
      return [];
    },
  });
  const { pawl, url, becomes } = await inboxApp([orders], { work: false });
  const clock = await movableClock(pawl.store);
  await pawl.work();
  await until("it is asked", () => asked > 0);
  const off = await pawlJson(
    [
      "off",
      "source:orders",
      "--until",
      "1h",
      "--wait",
      "--by",
      "ada",
      "--why",
      "their maintenance",
    ],
    { url },
  );
  expect(off.json).toMatchObject({ scope: "source:orders", running: 0, leases: [], batches: 0 });
  const before = asked;
  const source = await becomes("orders", { status: "paused", pausedBy: "ada" });
  expect(source.pausedUntil).toBeInstanceOf(Date);
  expect((await pawl.sources.why("orders")).line).toMatch(
    /^paused since \S+ \(\d.*\) by ada \(their maintenance\) until \S+Z; `pawl sources resume orders` lets it go on/,
  );
  expect(asked).toBe(before);
  await clock.advance(HOUR_MS + 1);
  await until("it goes on", () => asked > before);
  expect((await present(pawl.sources.get("orders"))).pausedAt).toBeNull();
});

test("R103a: `--wait` of a source waits for its request under way, and not for that of another", async () => {
  const answers = new Map<string, () => void>();
  const held = (name: string) =>
    defineSource({
      name,
      gap: 0,
      fetch: async (after) => {
        await new Promise<void>((resolve) => answers.set(name, resolve));
        return events(Number(after) + 1, Number(after) + 1);
      },
    });
  const { pawl, becomes } = await inboxApp([held("one"), held("two")]);
  await until("both are asked", () => answers.size === 2);
  const paused = pawl.sources.pause("one", { wait: true });
  await becomes("one", { status: "paused" });
  answers.get("one")?.();
  expect(await paused).toMatchObject({ scope: "source:one", leases: [] });
  expect((await present(pawl.sources.get("one"))).requested).toBe("1");
  expect((await present(pawl.sources.get("two"))).loader).not.toBeNull();
  answers.get("two")?.();
});

test("R84 R103a: a route turned off with an end takes nothing until then, and what turned it off and on is a switch", async () => {
  const { pawl, route } = await shop();
  const clock = await movableClock(pawl.store);
  const routed = async () => {
    const { id } = await pawl.record("order.placed", {
      aggregate: ["order", "1"],
      payload: {},
    });
    await pawl.store.rows("select pawl.route_v1(100)");
    const [row] = await pawl.store.rows<{ deliveries: number }>(
      "select deliveries from pawl.event where id = $1",
      [id],
    );
    return row?.deliveries;
  };
  expect(await pawl.routes.turnOff(route, { until: "1h", by: "ada" })).toMatchObject({
    active: false,
    offBy: "ada",
    offUntil: expect.any(Date),
  });
  expect(await routed()).toBe(0);
  expect(await pawl.switches.list()).toMatchObject({ switches: [{ scope: `route:${route}` }] });
  await clock.advance(HOUR_MS + 1);
  expect(await routed()).toBe(1);
  expect(await pawl.routes.list()).toMatchObject([{ active: true, offBy: null, offUntil: null }]);
  await pawl.switches.off(`route:${route}`);
  expect(await routed()).toBe(0);
  expect(await pawl.routes.turnOn(route)).toMatchObject({ active: true });
  expect(await routed()).toBe(1);
});

test("R84 R103a: editing a route that is off until a time leaves its switch; `active: true` turns it on", async () => {
  const { pawl } = await shop();
  const { id } = await pawl.routes.add({ pattern: "invoice.*", to: "a.b" });
  await pawl.routes.turnOff(id, { until: "30m" });
  expect(await pawl.routes.edit(id, { priority: 0 })).toMatchObject({
    priority: 0,
    active: false,
    offUntil: expect.any(Date),
  });
  expect(await pawl.switches.on(`route:${id}`)).toMatchObject({ wasOff: true });
  await pawl.routes.turnOff(id);
  expect(await pawl.routes.edit(id, { active: true })).toMatchObject({ active: true });
  expect((await pawl.switches.list()).switches).toEqual([]);
});

test("R84 R103a: a route takes its switch with it, whoever removes it: an operator, its destination, or the code", async () => {
  const { pawl, url, route } = await shop();
  const own = await pawl.routes.add({ pattern: "a", to: "erp" });
  await pawl.destinations.add({ name: "extra", type: "null", config: {} });
  const extra = await pawl.routes.add({ pattern: "b", to: "extra" });
  for (const id of [route, own.id, extra.id]) await pawl.routes.turnOff(id);
  await pawl.routes.remove(own.id);
  await pawl.destinations.remove("extra");
  expect((await pawl.switches.list()).switches).toMatchObject([{ scope: `route:${route}` }]);
  const without = defineApp({ destinations: { erp: nullDestination(), "a.b": nullDestination() } });
  const other = await connect(without, { databaseUrl: url, log: silentLogger });
  onTestFinished(() => other.close());
  expect((await pawl.switches.list()).switches).toEqual([]);
});

test("a switch of a source or a route makes no claim slower: the gate asks only for what holds tasks", async () => {
  const { pawl, route } = await shop();
  const asked = async () =>
    (await pawl.store.rows<{ holds: boolean }>("select pawl.are_holds() as holds"))[0]?.holds;
  await pawl.switches.off("source:orders");
  await pawl.switches.off(`route:${route}`);
  expect(await asked()).toBe(false);
  await pawl.switches.off("destination:erp");
  expect(await asked()).toBe(true);
});
