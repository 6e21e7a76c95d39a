import { beforeAll, expect, test } from "vitest";
import type { RouteInfo } from "../../src/outbox/operator/routes/act.ts";
import { freshDatabase } from "../support/database.ts";
import { pawl } from "./cli.ts";
import { here, hereJson } from "./here.ts";

async function project() {
  const { url } = await freshDatabase();
  await here(url, "destinations", "add", "erp", "--type", "null");
  const cli = (...args: string[]) => here(url, "routes", ...args);
  const json = <T>(...args: string[]) => hereJson<T>(url, "routes", ...args);
  return { url, cli, json };
}

test("R84: a route with conditions is added, tested, changed, turned off and removed without a line of JSON", async () => {
  const { cli, json } = await project();
  const { route } = await json<{ route: RouteInfo }>(
    "add",
    "order.*",
    "--to",
    "erp",
    "--where",
    "payload.address.country=CZ",
    "--where",
    "meta.n=5",
    "--where",
    'payload.zip="110"',
    "--match",
    "$.payload.total > 100",
    "--priority",
    "0",
  );
  expect(route).toMatchObject({
    pattern: "order.*",
    to: "erp",
    where: { payload: { address: { country: "CZ" }, zip: "110" }, meta: { n: 5 } },
    priority: 0,
    active: true,
  });
  const id = String(route.id);
  expect(await cli("list")).toMatch(
    /^ *\d+ +order\.\* +erp +0 +on +operator +meta\.n=5, payload\.zip=110, payload\.address\.country=CZ, /m,
  );
  const payload = '{"total":101,"zip":"110","address":{"country":"CZ"}}';
  expect(await cli("test", "order.placed", "--payload", payload, "--meta", '{"n":5}')).toMatch(
    /^order\.placed goes to erp$/m,
  );
  expect(await cli("test", "order.placed", "--payload", payload)).toMatch(
    /no: its `where` does not hold/,
  );
  expect(await cli("edit", id, "--unset", "where", "--unset", "match")).toMatch(
    /changed, order\.\* to erp$/,
  );
  expect(await cli("off", id, "--by", "ada")).toBe(`route ${id}: off by ada`);
  expect(await cli("test", "order.placed")).toMatch(/would be unrouted.*no: the route is off/s);
  expect(await cli("on", id)).toBe(`route ${id}: on`);
  await expect(cli("remove", id)).rejects.toThrow("add --yes");
  expect(await cli("remove", id, "--yes")).toBe(`route ${id}: removed`);
  expect(await cli("list")).toBe("none");
});

/** What is refused changes nothing. */
let shared: Awaited<ReturnType<typeof project>>;
beforeAll(async () => {
  shared = await project();
});

test.each([
  [["add", "order.*"], "--to"],
  [["add", "order placed", "--to", "erp"], 'such as "order.*"'],
  [["add", "order.*", "--to", "epr"], 'did you mean "erp"?'],
  [["add", "order.*", "--to", "erp", "--where", "country=CZ"], "payload.country=CZ"],
  [["add", "order.*", "--to", "erp", "--match", "total >"], "jsonpath predicate"],
  [["add", "order.*", "--to", "erp", "--priority", "9"], "from 0 to 3"],
  [["edit", "seven", "--priority", "1"], "the route's id"],
  [["edit", "7"], "nothing to change"],
  [["edit", "7", "--unset", "pattern"], "where, match or priority"],
  [["edit", "7", "--priority", "1"], "no route 7"],
  [["test", "or der"], "event's name"],
])("R84: routes %j is refused: %s", async (args, message) => {
  const { cli } = shared;
  await expect(cli(...args)).rejects.toThrow(message);
});

test("R84: a path of a condition cannot reach into what every object has", async () => {
  const { json } = await project();
  const { route } = await json<{ route: RouteInfo }>(
    "add",
    "order.*",
    "--to",
    "erp",
    "--where",
    "payload.__proto__.polluted=1",
  );
  expect(JSON.stringify(route.where)).toBe('{"payload":{"__proto__":{"polluted":1}}}');
  expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false);
});

test("a route that is not there ends a command with 3", async () => {
  const { url } = await project();
  const off = await pawl(["routes", "off", "77"], { url });
  expect(off).toMatchObject({ code: 3, stderr: expect.stringContaining("no route 77") });
});
