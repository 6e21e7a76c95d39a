import { expect, test } from "vitest";
import { nullDestination, on, type Pawl } from "../../src/index.ts";
import { shop } from "./operators-support.ts";

const takenBy = async (pawl: Pawl, name: string, payload: unknown = {}) =>
  (await pawl.routes.test({ name, payload })).destinations.map((one) => one.name);

test("R84: an operator adds, changes, turns off and removes a route; what code defines is only turned off", async () => {
  const { pawl } = await shop();
  const ada = { by: "ada", why: "new customer" };
  const route = await pawl.routes.add({ pattern: "invoice.*", to: "audit", priority: 0 }, ada);
  expect(route).toMatchObject({
    pattern: "invoice.*",
    to: "audit",
    owner: "operator",
    active: true,
  });
  const edited = await pawl.routes.edit(
    route.id,
    {
      pattern: "invoice.paid",
      where: { payload: { country: "CZ" } },
      match: "$.payload.total > 100",
    },
    ada,
  );
  expect(edited).toMatchObject({ pattern: "invoice.paid", priority: 0, active: true });
  expect(await takenBy(pawl, "invoice.paid", { country: "CZ", total: 101 })).toEqual(["audit"]);
  expect(await takenBy(pawl, "invoice.paid", { country: "CZ", total: 100 })).toEqual([]);
  await pawl.routes.edit(route.id, { match: null });
  expect(await takenBy(pawl, "invoice.paid", { country: "CZ", total: 100 })).toEqual(["audit"]);

  expect(await pawl.routes.turnOff(route.id, ada)).toMatchObject({ active: false, offBy: "ada" });
  expect(await pawl.routes.edit(route.id, { priority: 3 })).toMatchObject({ active: false });
  expect(await pawl.routes.turnOn(route.id)).toMatchObject({
    active: true,
    offBy: null,
    priority: 3,
  });

  const [ofCode] = (await pawl.routes.list()).filter((one) => one.owner === "code of app shop");
  const id = ofCode?.id ?? "";
  const byCode = expect.objectContaining({ code: "owned_by_code" });
  await expect(pawl.routes.edit(id, { priority: 0 })).rejects.toThrow(byCode);
  await expect(pawl.routes.remove(id)).rejects.toThrow(byCode);
  await pawl.routes.turnOff(id, ada);
  expect(await takenBy(pawl, "order.placed")).toEqual([]);
  expect(await pawl.routes.turnOn(id)).toMatchObject({ active: true });

  await pawl.routes.remove(route.id, ada);
  expect(await pawl.routes.list()).toHaveLength(1);
  const audit = await pawl.store.rows<{ action: string }>(
    "select action from pawl.audit where target = $1 and by = 'ada' and why = 'new customer' order by id",
    [`route:${route.id}`],
  );
  expect(audit.map((row) => row.action)).toEqual([
    "routes.add",
    "routes.edit",
    "routes.turnOff",
    "routes.remove",
  ]);
});

test("R84: a route that could never work is refused with what is near", async () => {
  const { pawl } = await shop();
  const add = (route: object) => expect(pawl.routes.add(route as never)).rejects;
  await add({ pattern: "or der", to: "audit" }).toThrow('such as "order.*"');
  await add({ pattern: "order.*", to: "adit" }).toThrow('did you mean "audit"?');
  await add({ pattern: "order.*", to: "audit", match: "total >" }).toThrow("bad condition");
  await add({ pattern: "order.*", to: "audit", where: { payloda: {} } }).toThrow('"payload"');
  await add({ pattern: "order.*", to: "audit", priority: 4 }).toThrow("from 0 to 3");
  await add({ pattern: "order.*", to: "audit", prioritty: 1 }).toThrow('did you mean "priority"?');
  for (const id of ["99", "0", String(2 ** 40)]) {
    await expect(pawl.routes.turnOff(id)).rejects.toThrow(
      expect.objectContaining({ code: "route_not_found" }),
    );
  }
  expect(await pawl.routes.list()).toHaveLength(1);
});

test("R84: a route that the code turns off is turned on only there", async () => {
  const { pawl } = await shop({ routes: [on("order.*", { active: false }).to("audit")] });
  const [route] = await pawl.routes.list();
  expect(route).toMatchObject({ active: false, offBy: null });
  await expect(pawl.routes.turnOn(route?.id ?? "")).rejects.toThrow("turned off in the code");
});

test("R84: the test of routes says where an event would go, with which priority, and why not elsewhere", async () => {
  const { pawl } = await shop({
    destinations: { audit: nullDestination(), erp: nullDestination(), crm: nullDestination() },
    routes: [
      on("order.*").to("audit"),
      on("order.placed", { priority: 0 }).to("audit"),
      on("order.*", { where: { meta: { tenant: "b" } } }).to("erp"),
      on("order.*", { match: '$.aggregateId == "8"' }).to("erp"),
      on("order.*", { active: false }).to("erp"),
      on("invoice.*").to("erp"),
      on("*").to("crm"),
    ],
  });
  await pawl.destinations.pause("crm", { drop: true });
  const { id } = await pawl.record("order.placed", {
    aggregate: ["order", "7"],
    payload: {},
    meta: { tenant: "a" },
  });
  const result = await pawl.routes.test({ event: id });
  expect(result).toMatchObject({ name: "order.placed", sentTo: null, isUnrouted: false });
  expect(result.destinations).toMatchObject([
    { name: "audit", priority: 0, routes: [{}, {}].map(() => expect.any(String)) },
  ]);
  const verdicts = result.routes.map(({ to, pattern, because }) => `${to} ${pattern} ${because}`);
  expect(verdicts.sort()).toEqual(
    [
      "audit order.* null",
      "audit order.placed null",
      "crm * dropping",
      "erp invoice.* pattern",
      "erp order.* match",
      "erp order.* off",
      "erp order.* where",
    ].sort(),
  );
  expect(await takenBy(pawl, "nobody.asked")).toEqual([]);
  const own = await pawl.routes.test({ name: "pawl.delivery.dead" });
  expect(own.routes.every((route) => route.because === "pattern")).toBe(true);
});

test("R84: an event that was sent to one destination explicitly goes there, whatever the routes say", async () => {
  const { pawl } = await shop();
  const { id } = await pawl.sendTo("null", "audit", "order.placed", {
    aggregate: ["order", 1],
    payload: {},
  });
  expect(await pawl.routes.test({ event: id })).toMatchObject({
    sentTo: "audit",
    destinations: [{ name: "audit", routes: [] }],
  });
  await expect(pawl.routes.test({ event: "nonsense" })).rejects.toThrow(
    expect.objectContaining({ code: "event_not_found" }),
  );
});
