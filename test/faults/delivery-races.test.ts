/** What happens at the same moment to breakers, destinations and the router: each race forced by a held lock. */

import type pg from "pg";
import { describe, expect, test } from "vitest";
import type { Store } from "../../src/store/store.ts";
import { movableClock } from "../support/clock.ts";
import { freshStore, rawClient } from "../support/database.ts";
import {
  defineDestinations,
  putDestination,
  putRoute,
  recordEvents,
  routeOnce,
  targetsOf,
} from "../support/delivery-catalogue.ts";
import {
  count,
  defineKinds,
  enqueueCount,
  executorOn,
  failed,
  newWorker,
  sendTurn,
  waitForLocks,
} from "../support/kernel.ts";
import { until } from "../support/until.ts";

const BREAKER = {
  failures: 4,
  ratio: 0.5,
  window_ms: 10_000,
  open_ms: 30_000,
  open_ms_max: 600_000,
};

interface Race {
  store: Store;
  /** Slow: what lies ahead is as far as it was said to be. */
  clock: Awaited<ReturnType<typeof movableClock>>;
  first: pg.Client;
  second: pg.Client;
}

async function race(): Promise<Race> {
  const store = await freshStore();
  await waitForLocks(store, "report_v1");
  const clock = await movableClock(store, { isSlow: true });
  return { store, clock, first: await rawClient(store.url), second: await rawClient(store.url) };
}

/** Hundreds of statements at once may wait for a connection, and for each other, as long as a busy machine takes. */
async function patientStore(): Promise<Store> {
  const store = await freshStore({ max: 8, connectTimeoutMs: 0 });
  await waitForLocks(store, "report_v1");
  return store;
}

/** Both at once: the second is begun while the first is not committed, and waits for it, or not. */
async function overlapping(
  { store, first, second }: Race,
  one: [text: string, values: unknown[]],
  other: [text: string, values: unknown[]],
): Promise<void> {
  await first.query("begin");
  await first.query(...one);
  let hasEnded = false;
  const ending = second.query(...other).finally(() => {
    hasEnded = true;
  });
  await until("the second waits or has ended", async () => {
    const waiting = await store.rows(
      "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
    );
    return hasEnded || waiting.length > 0;
  });
  await first.query("commit");
  await ending;
}

const report = (reports: unknown[]): [string, unknown[]] => [
  "select * from pawl.report_v1($1)",
  [JSON.stringify(reports)],
];
const good = (stream: number, ok = 1) => ({ stream, ok, failed: 0, hold_ms: null, error: null });
const bad = (stream: number, failed: number, holdMs: number | null = null) => ({
  stream,
  ok: 0,
  failed,
  hold_ms: holdMs,
  error: { name: "Error", message: "503" },
});

async function breaker(store: Store) {
  const [row] = await store.rows<{ phase: string; failed: number; trips: number; open_s: number }>(
    `select phase, failed, trips, round(extract(epoch from until - pawl.now()))::int as open_s from pawl.breaker`,
  );
  return row;
}

describe("breaker reports", () => {
  test("R96: failures told while another worker's report removes the breaker's row are counted", async () => {
    const at = await race();
    const { store } = at;
    await defineDestinations(store, { destinations: [{ name: "erp", breaker: BREAKER }] });
    await store.rows(...report([bad(1, 1)]));
    await store.rows("update pawl.breaker set since = pawl.now() - interval '1 minute'");
    await overlapping(at, report([good(1)]), report([bad(1, 4)]));
    expect(await breaker(store)).toMatchObject({ phase: "open", trips: 1 });
  });

  test("R96: many workers that all say that the receiver asks for a pause of 2 s make one of 2 s", async () => {
    const { store } = await race();
    await defineDestinations(store, { destinations: [{ name: "erp", breaker: BREAKER }] });
    for (let worker = 1; worker <= 8; worker += 1) await store.rows(...report([bad(1, 1, 2_000)]));
    expect(await breaker(store)).toMatchObject({ phase: "open", open_s: 2 });
  });

  test("R96: a pause that the receiver asks for does not shorten the time for which the breaker is open", async () => {
    const { store } = await race();
    await defineDestinations(store, { destinations: [{ name: "erp", breaker: BREAKER }] });
    await store.rows(...report([bad(1, 4)]));
    await store.rows(...report([bad(1, 1, 1_000)]));
    expect(await breaker(store)).toMatchObject({ phase: "open", open_s: 30, trips: 1 });
  });

  test("R96: a pause that the receiver asks for again and longer lasts longer", async () => {
    const { store } = await race();
    await defineDestinations(store, { destinations: [{ name: "erp", breaker: BREAKER }] });
    await store.rows(...report([bad(1, 1, 2_000)]));
    await store.rows(...report([bad(1, 1, 90_000)]));
    expect(await breaker(store)).toMatchObject({ phase: "open", open_s: 90 });
  });

  test("R96: reports of many workers at once, with resuming beside them: none fails", async () => {
    const store = await patientStore();
    const destinations = Array.from({ length: 10 }, (_, n) => ({
      name: `d${n}`,
      breaker: BREAKER,
    }));
    await defineDestinations(store, { destinations });
    const streams = destinations.map((_, n) => n + 1);
    const told = Array.from({ length: 300 }, (_, n) => {
      const reports = streams.map((stream) => (n % 3 === 0 ? good(stream, 70) : bad(stream, 2)));
      return n % 10 === 9
        ? store.rows("select pawl.resume_destination_v1('d3', 'ada', null)")
        : store.rows(...report(n % 2 === 0 ? reports : reports.toReversed()));
    });
    expect((await Promise.allSettled(told)).filter((one) => one.status === "rejected")).toEqual([]);
  });

  test("R96: resuming a queue of several kinds beside reports about them: neither is a victim of the other", async () => {
    const store = await patientStore();
    await store.rows("select pawl.register_v1($1)", [
      JSON.stringify({
        application: "test",
        revision: 0,
        payload_bytes_max: 1_048_576,
        queues: [{ name: "q", breaker: BREAKER }],
        streams: Array.from({ length: 20 }, (_, n) => ({ queue: "q", kind: `k${n}` })),
      }),
    ]);
    const streams = Array.from({ length: 20 }, (_, n) => n + 1);
    await store.rows(...report(streams.toReversed().map((stream) => bad(stream, 4))));
    const told = Array.from({ length: 200 }, (_, n) =>
      n % 2 === 0
        ? store.rows("select pawl.on_v1('queue:q', 'ada', null)")
        : store.rows(...report(streams.map((stream) => bad(stream, 4)))),
    );
    expect((await Promise.allSettled(told)).filter((one) => one.status === "rejected")).toEqual([]);
  });

  test("R96: a breaker that the code gives up holds nothing any more", async () => {
    const { store } = await race();
    await defineDestinations(store, { destinations: [{ name: "erp", breaker: BREAKER }] });
    await store.rows(...report([bad(1, 4)]));
    expect(await breaker(store)).toMatchObject({ phase: "open" });
    await defineDestinations(store, { destinations: [{ name: "erp", breaker: null }] });
    expect(await store.rows("select * from pawl.gate_v1(array[1])")).toEqual([]);
    expect(await breaker(store)).toBeUndefined();
  });
});

test("R96: the turn that records a failed probe starts no other: its worker has not told the breaker yet", async () => {
  const { store } = await race();
  await defineKinds(store);
  await store.rows("update pawl.queue set breaker = $1 where name = 'q'", [
    JSON.stringify(BREAKER),
  ]);
  await enqueueCount(store, 10);
  const worker = await newWorker(store);
  await store.rows(...report([bad(1, 4)]));
  await store.rows("update pawl.breaker set until = pawl.now() - interval '1 ms'");
  const [probe, ...others] = await sendTurn(store, { worker, claim: 1, limit: 5 });
  if (probe === undefined) throw new Error("no probe was given");
  expect(others).toEqual([]);
  const outcomes = [failed(probe, 1)];
  expect(await sendTurn(store, { worker, outcomes, gone: [1], claim: 2, limit: 5 })).toEqual([]);
  expect(await sendTurn(store, { worker, claim: 3, limit: 5 })).toEqual([]);
  await store.rows(...report([bad(1, 1)]));
  expect(await breaker(store)).toMatchObject({ phase: "open", trips: 2, open_s: 60 });
  await store.rows("update pawl.breaker set until = pawl.now() - interval '1 ms'");
  expect(await sendTurn(store, { worker, claim: 4, limit: 5 })).toHaveLength(1);
});

test("R96: a probe whose worker dies after recording it and before telling the breaker makes room for another", async () => {
  const { store, clock } = await race();
  await defineKinds(store);
  await store.rows("update pawl.queue set breaker = $1 where name = 'q'", [
    JSON.stringify(BREAKER),
  ]);
  await enqueueCount(store, 10);
  const worker = await newWorker(store);
  await store.rows(...report([bad(1, 4)]));
  await clock.advance(BREAKER.open_ms);
  const [probe] = await sendTurn(store, { worker, claim: 1, limit: 5 });
  if (probe === undefined) throw new Error("no probe was given");
  await sendTurn(store, { worker, outcomes: [failed(probe, 1)], gone: [1] });
  await clock.advance(60_000);
  expect(await sendTurn(store, { worker, claim: 2, limit: 5 })).toHaveLength(1);
});

describe("disabling", () => {
  const disable: [string, unknown[]] = ["select pawl.disable_destination_v1('erp', '410')", []];

  test("R96: two deliveries that hear 410 at the same moment turn the destination off once, and one event says so", async () => {
    const at = await race();
    const { store } = at;
    await defineDestinations(store, {
      destinations: [{ name: "erp" }, { name: "alarm" }],
      routes: [{ pattern: "pawl.destination.*", destination: "alarm" }],
    });
    await overlapping(at, disable, disable);
    expect(await count(store, "switch")).toBe(1);
    expect(await count(store, "event where name = 'pawl.destination.disabled'")).toBe(1);
    expect(await count(store, "audit where action = 'destinations.pause'")).toBe(1);
  });

  test("R96: a 410 that comes after the destination was removed leaves nothing that holds a new one of its name", async () => {
    const { store } = await race();
    await putDestination(store, "erp");
    await store.rows("select pawl.remove_destination_v1('erp', 'ada', null)");
    await store.rows(...disable);
    await putDestination(store, "erp");
    expect(await store.rows("select name from pawl.switch")).toEqual([]);
  });
});

describe("the router beside operators", () => {
  test("R80: a destination that is removed while the router makes a delivery for it keeps none waiting", async () => {
    const at = await race();
    const { store } = at;
    await putDestination(store, "erp");
    await putRoute(store, "order.*", "erp");
    await recordEvents(store, [{ name: "order.placed" }]);
    await overlapping(
      at,
      ["select pawl.route_v1(500)", []],
      ["select pawl.remove_destination_v1('erp', 'ada', null)", []],
    );
    expect(await count(store, "task")).toBe(0);
  });

  test("R80: a destination that is turned off with drop while the router makes a delivery for it keeps none waiting", async () => {
    const at = await race();
    const { store } = at;
    await defineDestinations(store, {
      destinations: [{ name: "erp" }],
      routes: [{ pattern: "order.*", destination: "erp" }],
    });
    await recordEvents(store, [{ name: "order.placed" }]);
    await overlapping(
      at,
      ["select pawl.route_v1(500)", []],
      ["select pawl.pause_destination_v1('erp', true, 'ada', null, null)", []],
    );
    expect(await count(store, "task")).toBe(0);
  });

  test("R80: turned off with drop until a time, a destination gets events again after that time", async () => {
    const { store } = await race();
    await defineDestinations(store, {
      destinations: [{ name: "erp" }, { name: "audit" }],
      routes: [
        { pattern: "order.*", destination: "erp" },
        { pattern: "order.*", destination: "audit" },
      ],
    });
    await store.rows(
      "select pawl.pause_destination_v1('erp', true, 'ada', null, pawl.now() + interval '1 hour')",
    );
    const [dropped] = await recordEvents(store, [{ name: "order.placed" }]);
    await routeOnce(store);
    expect(await targetsOf(store, dropped ?? "")).toEqual(["audit"]);
    await store.rows("update pawl.switch set until = pawl.now() - interval '1 second'");
    const [after] = await recordEvents(store, [{ name: "order.placed" }]);
    await routeOnce(store);
    expect(await targetsOf(store, after ?? "")).toEqual(["audit", "erp"]);
  });

  test("R80: turned off with drop and on again as a queue, a destination gets events, and a later plain off holds them", async () => {
    const { store } = await race();
    await defineDestinations(store, {
      destinations: [{ name: "erp" }],
      routes: [{ pattern: "order.*", destination: "erp" }],
    });
    await store.rows("select pawl.pause_destination_v1('erp', true, 'ada', null, null)");
    await store.rows("select pawl.on_v1('queue:destination:erp', 'ada', null)");
    const [on] = await recordEvents(store, [{ name: "order.placed" }]);
    await routeOnce(store);
    expect(await targetsOf(store, on ?? "")).toEqual(["erp"]);
    await store.rows("select pawl.off_v1('queue:destination:erp', 'ada', null, null)");
    const [held] = await recordEvents(store, [{ name: "order.placed" }]);
    await routeOnce(store);
    expect(await targetsOf(store, held ?? "")).toEqual(["erp"]);
  });

  test("putting a destination beside an app's registration: one waits for the other, and both are there", async () => {
    const at = await race();
    const { store, first } = at;
    await first.query("begin");
    await putDestination(executorOn(first), "crm");
    const registering = defineDestinations(store, { destinations: [{ name: "erp" }] });
    await until("the registration waits", async () => {
      const rows = await executorOn(at.second).rows(
        "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
      );
      return rows.length > 0;
    });
    await first.query("commit");
    await registering;
    expect(await store.rows("select name from pawl.destination order by name")).toEqual([
      { name: "crm" },
      { name: "erp" },
    ]);
  });
});
