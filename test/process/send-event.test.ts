/** Steps that record an event and wait until all of its deliveries have ended. */

import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import {
  type AnyProcess,
  type AppOptions,
  connect,
  defineApp,
  defineProcess,
  flow,
  on,
  type Pawl,
  type RunBefore,
  Unrecoverable,
} from "../../src/index.ts";
import { freshDatabase } from "../support/database.ts";
import { untilStatus } from "../support/runs.ts";
import { until } from "../support/until.ts";

const input = z.object({ order: z.number() });
const BASE = { version: 1, input, retry: { attempts: 2, delay: 0 } } as const;
const resultOf = async (pawl: Pawl, id: string) => (await pawl.task(id))?.result;

const tells = (options: object = {}, name = "tells") =>
  defineProcess({
    ...BASE,
    name,
    steps: (s) =>
      s
        .send("tell", {
          event: ({ input: { order } }) => ({
            name: "order.placed",
            aggregate: ["order", order],
            payload: { order },
            meta: { trace: "t-1" },
          }),
          ...options,
        })
        .call("end", ({ outputs: { tell } }) => {
          const first: string | undefined = tell.deliveries[0]?.destination;
          // @ts-expect-error an event has no result
          const no: unknown = tell.result;
          return { ...tell, first, no };
        }),
  });

/** Destinations that fail for good while their name is in `broken`. */
function shop(processes: readonly AnyProcess[]): {
  options: AppOptions;
  broken: Set<string>;
  seen: string[];
} {
  const broken = new Set<string>();
  const seen: string[] = [];
  const to = (name: string) =>
    flow(async () => {
      seen.push(name);
      if (broken.has(name)) throw new Unrecoverable(`${name} refuses`);
    });
  const options = {
    processes,
    destinations: { erp: to("erp"), mail: to("mail") },
    routes: [on("order.*").to("erp"), on("order.*").to("mail")],
  };
  return { options, broken, seen };
}

async function opened(options: AppOptions, databaseUrl?: string): Promise<Pawl> {
  const url = databaseUrl ?? (await freshDatabase({ longLeases: true })).url;
  const pawl = await connect(defineApp(options), { databaseUrl: url, log: silentLogger });
  onTestFinished(() => pawl.close());
  return pawl;
}

const waitsForDead = (pawl: Pawl, id: string) =>
  until("its run waits for a dead delivery", async () => {
    const run = (await pawl.processes.show(id))?.run;
    return run?.status === "waiting" && run.waitsForEvent?.status === "dead" && run;
  });

test("a run waits for all deliveries of its event, which is recorded once, and reads how each ended", async () => {
  const process = tells();
  const { options, seen } = shop([process]);
  const pawl = await opened(options);
  await pawl.off("destination:mail", { why: "not yet" });
  const { id } = await pawl.start(process, { order: 7 });
  await pawl.work();
  const run = await until("one of two is delivered", async () => {
    const shown = (await pawl.processes.show(id))?.run;
    return seen.length === 1 && shown?.status === "waiting" && shown;
  });
  expect(run).toMatchObject({ waitsFor: null, waitsForTask: null, step: "tell" });
  expect(run.waitsForEvent).toMatchObject({ name: "order.placed" });
  const told =
    /^waits at step tell for the deliveries of event \S+ \(order.placed, \w+\); `pawl why \S+` explains them, `pawl processes skip/;
  await until("`why` says so", async () => told.test((await pawl.why(id))?.line ?? ""));
  await pawl.on("destination:mail");
  await untilStatus(pawl, id, "done");
  const [event, ...others] = await pawl.events.list();
  expect(others).toEqual([]);
  expect(event).toMatchObject({ aggregateType: "order", aggregateId: "7", meta: { trace: "t-1" } });
  expect(await resultOf(pawl, id)).toEqual({
    id: event?.id,
    status: "published",
    deliveries: ["erp", "mail"].map((destination) => ({
      id: expect.any(String),
      destination,
      status: "published",
      error: null,
    })),
    first: "erp",
  });
  expect(seen.toSorted()).toEqual(["erp", "mail"]);
});

test("a run with a dead delivery waits on and says so; what retries or replays the delivery lets it go on", async () => {
  const process = tells();
  const { options, broken, seen } = shop([process]);
  broken.add("erp");
  const pawl = await opened(options);
  const runs = [await pawl.start(process, { order: 1 }), await pawl.start(process, { order: 2 })];
  const [one, two] = runs.map((run) => run.id) as [string, string];
  await pawl.work();
  const first = (await waitsForDead(pawl, one)).waitsForEvent?.id ?? "";
  const second = (await waitsForDead(pawl, two)).waitsForEvent?.id ?? "";
  broken.clear();
  const deadOf = async (event: string) =>
    (await pawl.deliveries.list()).find((row) => row.eventId === event && row.status === "dead");
  await pawl.dead.retry([(await deadOf(first))?.id ?? ""]);
  await untilStatus(pawl, one, "done");
  expect(await resultOf(pawl, one)).toMatchObject({ id: first, status: "published" });
  await untilStatus(pawl, two, "waiting"); // it looks at each end, also at one that is none
  await pawl.deliveries.replay({ event: second, destinations: ["erp"] });
  await untilStatus(pawl, two, "done");
  expect(await resultOf(pawl, two)).toMatchObject({ id: second, status: "published" });
  expect(seen.filter((name) => name === "mail")).toHaveLength(2);
});

test("with `continue` a dead delivery lets the run go on when no other is under way; one that is removed does always", async () => {
  const goesOn = tells({ onDead: "continue" }, "goes-on");
  const waits = tells({}, "waits");
  const { options, broken } = shop([goesOn, waits]);
  broken.add("erp");
  const pawl = await opened(options);
  await pawl.off("destination:mail", { why: "not yet" });
  const { id } = await pawl.start(goesOn, { order: 1 });
  const { id: other } = await pawl.start(waits, { order: 2 });
  await pawl.work();
  await until("both are dead", async () => (await pawl.dead.list()).length === 2);
  for (const run of [id, other]) expect(await untilStatus(pawl, run, "waiting")).toBeTruthy();
  await pawl.on("destination:mail");
  await untilStatus(pawl, id, "done");
  expect(await resultOf(pawl, id)).toMatchObject({
    status: "dead",
    deliveries: [
      { destination: "erp", status: "dead", error: "erp refuses" },
      { destination: "mail", status: "published", error: null },
    ],
  });
  await waitsForDead(pawl, other);
  await pawl.dead.remove({ all: true });
  await untilStatus(pawl, other, "done");
  expect(await resultOf(pawl, other)).toMatchObject({
    status: "published",
    deliveries: [{ status: "cancelled" }, { status: "published" }],
  });
});

test("an event that no route takes, or all of whose deliveries are dropped, holds no run up; a later route changes nothing for the run", async () => {
  const process = tells();
  const { options } = shop([process]);
  const pawl = await opened({ ...options, routes: [] });
  const { id } = await pawl.start(process, { order: 7 });
  await pawl.work();
  await untilStatus(pawl, id, "done");
  expect(await resultOf(pawl, id)).toMatchObject({ status: "unrouted", deliveries: [] });
  await pawl.close();

  const routed = await opened({ ...options, routes: [on("order.*").to("erp")] }, pawl.databaseUrl);
  await routed.off("destination:erp", { why: "not yet" });
  await routed.work();
  await routed.events.route({ name: "order.*" });
  const { id: second } = await routed.start(process, { order: 8 });
  await until("both are routed", async () => (await routed.deliveries.list()).length === 2);
  await untilStatus(routed, second, "waiting");
  await routed.destinations.pause("erp", { drop: true });
  await untilStatus(routed, second, "done");
  expect(await resultOf(routed, second)).toMatchObject({
    status: "cancelled",
    deliveries: [{ destination: "erp", status: "cancelled" }],
  });
  expect(await resultOf(routed, id)).toMatchObject({ status: "unrouted" });
});

test("after its timeout a run goes on, and reads how far the deliveries are, which are made all the same", async () => {
  const process = tells({ timeout: "1ms" });
  const { options, seen } = shop([process]);
  const pawl = await opened(options);
  await pawl.off("destination:erp", { why: "not yet" });
  await pawl.off("destination:mail", { why: "not yet" });
  const { id } = await pawl.start(process, { order: 7 });
  await pawl.work();
  const { steps } = await untilStatus(pawl, id, "done");
  const result = (await resultOf(pawl, id)) as { id: string };
  expect(result).toMatchObject({ status: "timeout" });
  expect(steps.find((row) => row.outcome === "done")?.message).toBe(
    `the deliveries of event ${result.id} did not end in time`,
  );
  await pawl.on("destination:erp");
  await until("it is delivered", () => seen.includes("erp"));
});

test("two deliveries that end at once let the run go on", async () => {
  const process = tells();
  let came = 0;
  let all: () => void = () => undefined;
  const both = new Promise<void>((resolve) => {
    all = resolve;
  });
  const meets = () =>
    flow(async () => {
      came += 1;
      if (came === 2) all();
      await both;
    });
  const { options } = shop([process]);
  const pawl = await opened({ ...options, destinations: { erp: meets(), mail: meets() } });
  const { id } = await pawl.start(process, { order: 7 });
  await Promise.all([pawl.work({ concurrency: 1 }), pawl.work({ concurrency: 1 })]);
  await untilStatus(pawl, id, "done");
  expect(await resultOf(pawl, id)).toMatchObject({ status: "published" });
});

test("a run that goes on in another version waits for the same event, and records no second one", async () => {
  const before = tells();
  const { options, broken } = shop([before]);
  broken.add("erp");
  const pawl = await opened(options);
  const { id } = await pawl.start(before, { order: 7 });
  const worker = await pawl.work();
  await waitsForDead(pawl, id);
  await worker.stop();
  const after = defineProcess({
    ...BASE,
    name: "tells",
    version: 2,
    migrate: { 1: ({ step }: RunBefore) => ({ step }) },
    steps: (s) =>
      s.send("tell", {
        event: () => ({ name: "order.again", aggregate: ["order", 1], payload: null }),
      }),
  });
  broken.clear();
  const next = await opened({ ...options, processes: [after] }, pawl.databaseUrl);
  await next.work();
  expect((await next.processes.migrate("tells", { from: 1 })).count).toBe(1);
  await waitsForDead(next, id);
  await next.dead.retry({ all: true });
  await untilStatus(next, id, "done");
  expect((await next.events.list()).map((event) => event.name)).toEqual(["order.placed"]);
});

test("an event that cannot be recorded fails its step by the policy, and no other run with it", async () => {
  const { options } = shop([]);
  const bad = (event: unknown) =>
    defineProcess({ ...BASE, name: "bad", steps: (s) => s.send("tell", { event } as never) });
  const good = tells();
  const far = bad(() => ({
    name: "order.x",
    aggregate: ["order", 1],
    payload: 1,
    to: "nowhere",
  }));
  const pawl = await opened({ ...options, processes: [good, far] });
  const failing = await Promise.all([1, 2, 3].map((order) => pawl.start(far, { order })));
  const going = await Promise.all([1, 2, 3].map((order) => pawl.start(good, { order })));
  await pawl.work();
  for (const { id } of going) await untilStatus(pawl, id, "done");
  for (const { id } of failing)
    expect((await untilStatus(pawl, id, "error")).run.error?.message).toContain("nowhere");
  expect(await pawl.events.list({ name: "order.x" })).toEqual([]);
  await pawl.close();

  const own = bad(() => ({ name: "pawl.own", aggregate: ["order", 1], payload: 1 }));
  const next = await opened({ ...options, processes: [own] });
  const { id } = await next.start(own, { order: 1 });
  await next.work();
  expect((await untilStatus(next, id, "error")).run.error?.message).toContain("pawl.own");
});

test("options that a `send` of an event does not have, or of another kind, are refused where they stand", () => {
  expect(() => tells({ onDead: "stop" })).toThrow("`onDead`");
  expect(() => tells({ event: {} })).toThrow("`event`");
  expect(() => tells({ request: () => ({ method: "GET", url: "http://x" }) })).toThrow("request");
  expect(() => tells({ timeout: 0 })).toThrow("`timeout`");
});
