import { expect, expectTypeOf, onTestFinished, test } from "vitest";
import { nounsOf } from "../../src/app/nouns.ts";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, type Nouns, type Pawl, type WorkObserver } from "../../src/index.ts";
import { ownFields, ownJson } from "../../src/operate/results.ts";
import { httpServer } from "../sender/local-servers.ts";
import { clientCalls } from "../support/client-calls.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";
import {
  CHANGING,
  READING,
  type Seen,
  type Stage,
  staged,
  verbsOf,
} from "../support/verb-calls.ts";

/** What an app has written: its names are its own. */
const OF_APPS: ReadonlySet<string> = new Set(["payload", "meta", "result", "config", "headers"]);

/** What texts say of the input, where nothing was typed. */
const INPUT = { destination: {}, changes: {}, route: {} };

type Call = (stage: Stage, seen: Seen) => Promise<unknown>;

/** Names with an underscore that the compiler sees in what calls give, at any depth. */
type OddNames<T, Depth extends 0[] = []> = Depth["length"] extends 9
  ? never
  : T extends Date | Uint8Array
    ? never
    : T extends (...given: never[]) => infer Result
      ? OddNames<Awaited<Result>, [...Depth, 0]>
      : T extends readonly (infer One)[]
        ? OddNames<One, [...Depth, 0]>
        : T extends object
          ? { [Name in keyof T & string]: OddName<Name, T[Name], Depth> }[keyof T & string]
          : never;
type OddName<Name extends string, Value, Depth extends 0[]> = Name extends `${string}_${string}`
  ? Name
  : OddNames<Value, [...Depth, 0]>;

/** The same for ids that the compiler does not take for texts. */
type OddIds<T, Depth extends 0[] = []> = Depth["length"] extends 9
  ? never
  : T extends Date | Uint8Array
    ? never
    : T extends (...given: never[]) => infer Result
      ? OddIds<Awaited<Result>, [...Depth, 0]>
      : T extends readonly (infer One)[]
        ? OddIds<One, [...Depth, 0]>
        : T extends object
          ? { [Name in keyof T & string]: OddId<Name, T[Name], Depth> }[keyof T & string]
          : never;
type OddId<Name extends string, Value, Depth extends 0[]> = Name extends
  | "id"
  | "ids"
  | `${string}Id`
  | `${string}Ids`
  ? Extract<Value, number | bigint | readonly number[]> extends never
    ? OddIds<Value, [...Depth, 0]>
    : Name
  : OddIds<Value, [...Depth, 0]>;

test("R112: no result of a call has a column's name: the compiler sees all of them, those of parts to come too", () => {
  type Calls = Omit<Pawl, "app" | "store" | "transaction" | "work">;
  expectTypeOf<OddNames<Calls>>().toEqualTypeOf<never>();
  expectTypeOf<
    OddNames<Parameters<NonNullable<WorkObserver[keyof WorkObserver]>>>
  >().toEqualTypeOf<never>();
  expectTypeOf<
    OddNames<{ a: () => Promise<{ b: { run_at: Date }[] }> }>
  >().toEqualTypeOf<"run_at">();
});

test("R112: no result of a call has an id that is a number: the compiler sees all of them, those of parts to come too", () => {
  type Calls = Omit<Pawl, "app" | "store" | "transaction" | "work">;
  expectTypeOf<OddIds<Calls>>().toEqualTypeOf<never>();
  expectTypeOf<
    OddIds<Parameters<NonNullable<WorkObserver[keyof WorkObserver]>>>
  >().toEqualTypeOf<never>();
  expectTypeOf<
    OddIds<{ a: () => Promise<{ id: string; b: { workerId: number | null; ids: number[] }[] }> }>
  >().toEqualTypeOf<"workerId" | "ids">();
});

/** Names with an underscore of the JSON that the command line prints. */
function oddNames(json: unknown, at: string): string[] {
  return oddIn(json, `pawl ${at} --json`).filter((one) => !one.includes(": "));
}

/** Names with an underscore, times as text, and ids that are no text, that are not an app's. */
function oddIn(value: unknown, at: string): string[] {
  if (typeof value === "string")
    return /^\d{4}-\d\d-\d\d[T ]/.test(value) ? [`${at}: ${value}`] : [];
  if (typeof value !== "object" || value === null || value instanceof Date) return [];
  if (ArrayBuffer.isView(value)) return [];
  return Object.entries(value).flatMap(([name, one]) => {
    const path = `${at}.${name}`;
    if (OF_APPS.has(name)) return [];
    if (isOddId(name, one)) return [`${path} = ${String(one)}`];
    return name.includes("_") ? [path] : oddIn(one, path);
  });
}

function isOddId(name: string, value: unknown): value is number | number[] {
  const isId = /(?:^id|Id|^ids|Ids)$/.test(name);
  return isId && [value].flat().some((one) => typeof one === "number");
}

/** A worker that lives, a delivery that failed, and a request that waits. */
async function furnished({ pawl }: Stage): Promise<Seen> {
  const server = await httpServer(({ url: path }, response) => {
    response.writeHead(path === "/orders" ? 200 : 500).end("{}");
  });
  onTestFinished(() => server.close());
  const secret = `whsec_${Buffer.alloc(32, 3).toString("base64")}`;
  await pawl.destinations.add({
    name: "gone",
    type: "webhook",
    config: { url: `${server.url}/events`, secret },
  });
  await pawl.routes.add({ pattern: "stock.*", to: "gone" });
  const stock = { aggregate: ["shelf", "7"], payload: { in_stock: 1 } } as const;
  const { id: event } = await pawl.record("stock.counted", stock);
  const runAt = new Date(Date.now() + 86_400_000);
  const request = await pawl.request({
    method: "POST",
    url: `${server.url}/orders`,
    body: "x",
    runAt,
  });
  await pawl.work();
  const delivery = await until("it was tried", async () =>
    (await pawl.deliveries.list()).find((row) => row.error !== null),
  );
  return { event, delivery: delivery.id, request: request.id };
}

test("R112: what each verb answers has names in camelCase, times are `Date`, ids are strings, and its JSON has the same", async () => {
  const verbs = new Map(nounsOf().flatMap((noun) => verbsOf(noun)));
  const run: Call = ({ pawl }, { request }) => pawl.requests.run(request);
  const calls: Record<string, Call> = { ...READING, ...CHANGING, "requests.run": run };
  expect(Object.keys(calls).sort()).toEqual([...verbs.keys()].sort());
  const stage = await staged();
  const seen = await furnished(stage);
  const odd: string[] = [];
  for (const [name, call] of Object.entries(calls)) {
    const result = await call(stage, seen);
    odd.push(...oddIn(result, name));
    // `pawl why` prints what code gets
    if (name !== "why") odd.push(...oddNames(verbs.get(name)?.answer(result, INPUT).json, name));
  }
  expect(odd).toEqual([]);
});

/** Nouns that the compiler lets one look into without asking whether there is such a thing. */
type Careless = {
  [Name in keyof Nouns]: Nouns[Name] extends { show: (...given: never[]) => Promise<infer Shown> }
    ? undefined extends Shown
      ? never
      : Name
    : never;
}[keyof Nouns];

const NO_ID = "999999";
const NO_EVENT = "019a0b6e-2f31-7c55-9d0a-3f1b8e6a4c21";
const OF_NONE: Record<string, string> = { events: NO_EVENT, sources: "none", destinations: "none" };

test("R112: in code `show` and `get` give undefined where there is no such thing; other verbs refuse it", async () => {
  expectTypeOf<Careless>().toEqualTypeOf<never>();
  const { url } = await freshDatabase();
  const pawl = await connect(defineApp({ name: "shop" }), { databaseUrl: url, log: silentLogger });
  onTestFinished(() => pawl.close());
  const looks = nounsOf()
    .flatMap((noun) => verbsOf(noun))
    .flatMap(([name]) => (/\.(?:show|get)$/.test(name) ? [name] : []));
  expect(looks.length).toBeGreaterThan(7);
  const calls = new Map(clientCalls(pawl));
  for (const name of looks) {
    const [noun = ""] = name.split(".");
    expect(await calls.get(name)?.(OF_NONE[noun] ?? NO_ID), name).toBeUndefined();
  }
  expect(await pawl.task(NO_ID)).toBeUndefined();
  expect(await pawl.event(NO_EVENT)).toBeUndefined();
  const refused = {
    task_not_found: [
      () => pawl.why(NO_ID),
      () => pawl.tasks.cancel(NO_ID),
      () => pawl.dead.retry(NO_ID),
    ],
    event_not_found: [() => pawl.why(NO_EVENT), () => pawl.events.route(NO_EVENT)],
    schedule_not_found: [() => pawl.schedules.why("none"), () => pawl.schedules.run("none")],
    source_not_found: [() => pawl.sources.why("none"), () => pawl.sources.retry("none")],
    inbox_event_not_found: [() => pawl.inbox.retry([NO_ID])],
    group_not_found: [() => pawl.off("group:none"), () => pawl.on("group:none")],
    unknown_destination: [() => pawl.destinations.edit("none", {})],
  };
  for (const [code, asked] of Object.entries(refused))
    for (const ask of asked) await expect(ask()).rejects.toMatchObject({ code });
});

test("R112: JSON of Pawl itself is renamed at every depth, that of an app never", () => {
  const own = {
    lease_until: "2030-01-01T00:00:00.000Z",
    holds: [{ per_ms: 1, why: "a_b", worker_id: 7, pid: 8 }],
    head_id: 42,
    none: null,
  };
  expect(ownJson(own)).toEqual({
    leaseUntil: new Date("2030-01-01T00:00:00.000Z"),
    holds: [{ perMs: 1, why: "a_b", workerId: "7", pid: 8 }],
    headId: "42",
    none: null,
  });
  expect(ownFields({ run_at: "2030-01-01T00:00:00.000Z", filter: { a_b: 1 } })).toEqual({
    runAt: new Date("2030-01-01T00:00:00.000Z"),
    filter: { a_b: 1 },
  });
});
