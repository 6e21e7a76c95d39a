import { createServer as createTcpServer } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { PawlError } from "../../src/base/errors.ts";
import { silentLogger } from "../../src/base/log.ts";
import {
  connect,
  type DestinationDefinition,
  defineApp,
  nullDestination,
  on,
  type Pawl,
  type Route,
  type WebhookOptions,
  webhook,
} from "../../src/index.ts";
import { RETRY_AFTER_MS_MAX } from "../../src/sender/retry-after.ts";
import { bodyOf, freePort, httpServer } from "../sender/local-servers.ts";
import { movableClock } from "../support/clock.ts";
import { freshDatabase } from "../support/database.ts";
import { putDestination, putRoute } from "../support/delivery-catalogue.ts";
import { count } from "../support/kernel.ts";
import { until } from "../support/until.ts";

const SECRET = `whsec_${Buffer.alloc(32, 5).toString("base64")}`;
const ORDER = { aggregate: ["order", "7"], payload: {} } as const;
const QUICK = { attempts: 50, delays: ["10ms"], jitter: 0 };

interface Answer {
  status: number;
  headers?: Record<string, string>;
}

/** Answers as the test says at that time; null: never. */
async function receiver(answer: (nth: number) => Answer | null) {
  const ids: string[] = [];
  const server = await httpServer(async (request, response) => {
    await bodyOf(request).catch(() => undefined);
    ids.push(String(request.headers["webhook-id"]));
    const given = answer(ids.length);
    if (given !== null) response.writeHead(given.status, given.headers).end();
  });
  onTestFinished(() => server.close());
  return { url: server.url, ids };
}

/** A slow machine is no receiver that hangs: unless told otherwise, no try ends by its timeout. */
function hook(url: string, more: Partial<WebhookOptions> = {}): DestinationDefinition {
  return webhook({ url, secret: SECRET, retry: QUICK, timeout: "10m", ...more });
}

async function connected(
  destinations: Record<string, DestinationDefinition>,
  routes: readonly Route[] = [on("order.*").to(...Object.keys(destinations))],
): Promise<Pawl> {
  const { url } = await freshDatabase({ longLeases: true });
  const app = defineApp({ destinations, routes, http: { allow: ["127.0.0.1"] } });
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger, connections: 6 });
  onTestFinished(() => pawl.close());
  return pawl;
}

async function record(pawl: Pawl, events: number, name = "order.placed"): Promise<string[]> {
  const ids: string[] = [];
  for (let n = 0; n < events; n += 1) ids.push((await pawl.record(name, ORDER)).id);
  return ids;
}

const breakers = (pawl: Pawl) =>
  pawl.store.rows<{ phase: string; open_s: number; trips: number }>(
    `select phase, trips, round(extract(epoch from until - pawl.now()))::int as open_s from pawl.breaker`,
  );

const nothingLeft = (pawl: Pawl) =>
  until("nothing is left", async () => {
    const unrouted = await count(pawl.store, "event where routed_at is null");
    return unrouted === 0 && (await count(pawl.store, "task")) === 0;
  });

describe("one dead destination among several", () => {
  const GOOD = Array.from({ length: 8 }, (_, n) => `good-${n}`);
  const EVENTS = 40;
  const BREAKER = { failures: 5, open: "400ms", openMax: "1s" };

  test("R96: one hangs and one refuses: the others get all soon, what is held keeps its attempts and says why, and goes out by itself when the receivers are back", async () => {
    let isBack = false;
    const hanging = await receiver(() => (isBack ? { status: 204 } : null));
    const fine = await receiver(() => ({ status: 204 }));
    const port = await freePort();
    const dead = { timeout: "1s", breaker: BREAKER, retry: { ...QUICK, attempts: 10_000 } };
    const pawl = await connected({
      hanging: hook(hanging.url, dead), // the preferred one
      refusing: hook(`http://127.0.0.1:${port}/`, dead),
      ...Object.fromEntries(GOOD.map((name) => [name, hook(fine.url)])),
    });
    await record(pawl, EVENTS);
    await pawl.work({ concurrency: 20 });
    await until("all that can be delivered is", () => fine.ids.length === GOOD.length * EVENTS);
    expect(await waitingFor(pawl, "hanging")).toBeGreaterThan(EVENTS / 2);
    expect(await waitingFor(pawl, "refusing")).toBeGreaterThan(EVENTS / 2);
    const line = await until("a delivery is held by the breaker", () => heldLine(pawl, "hanging"));
    expect(line).toMatch(/breaker/);
    await Promise.all(["hanging", "refusing"].map((name) => triedOnceInEachPause(pawl, name)));

    isBack = true;
    await listenAgain(port);
    await nothingLeft(pawl);
    expect(await count(pawl.store, "dead")).toBe(0);
    expect(new Set(hanging.ids).size).toBe(EVENTS);
  });

  async function triedOnceInEachPause(pawl: Pawl, name: string): Promise<void> {
    const now = async () => {
      const [row] = await pawl.store.rows<{ tries: number; trips: number; running: number }>(
        `select b.trips, (select sum(t.attempt)::int from pawl.task t where t.queue_id = d.queue_id) as tries,
                (select count(*)::int from pawl.claim c where c.queue_id = d.queue_id) as running
           from pawl.destination d join pawl.breaker b on b.stream_id = d.stream_id where d.name = $1`,
        [name],
      );
      return row;
    };
    // what had started before may end in the first pauses
    const before = await until(`${name}: its breaker is open, and none of it runs`, async () => {
      const row = await now();
      return row !== undefined && row.trips > 0 && row.running === 0 && row;
    });
    const after = await until(`${name}: two more probes have failed`, async () => {
      const row = await now();
      return row !== undefined && row.trips >= before.trips + 2 && row;
    });
    // the last may be followed by one that is not told yet
    expect(after.tries - before.tries).toBeLessThanOrEqual(after.trips - before.trips + 1);
  }

  async function waitingFor(pawl: Pawl, name: string): Promise<number> {
    return count(
      pawl.store,
      `task t join pawl.destination d on d.queue_id = t.queue_id where d.name = '${name}'`,
    );
  }

  /** What `pawl why` says about a delivery that has not been tried, or waits for its next try. */
  async function heldLine(pawl: Pawl, name: string): Promise<string | undefined> {
    const rows = await pawl.store.rows<{ id: string }>(
      `select t.id from pawl.task t join pawl.destination d on d.queue_id = t.queue_id
        where d.name = $1 and t.state = 'ready' order by t.id desc limit 1`,
      [name],
    );
    const line = rows[0] === undefined ? undefined : (await pawl.why(rows[0].id))?.line;
    return line?.includes("breaker") === true ? line : undefined;
  }

  /** Any webhook is accepted there from now on. */
  async function listenAgain(port: number): Promise<void> {
    const server = createTcpServer((socket) => {
      socket.on("error", () => undefined);
      socket.on("data", () => socket.end("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"));
    });
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
  }

  test("R96: a probe is alone in its pause even while its worker has much to tell about other destinations", async () => {
    const down = await receiver(() => ({ status: 503 }));
    const pause = { failures: 5, open: "600ms", openMax: "600ms" };
    const noisy = { breaker: { failures: 1_000_000 } };
    const pawl = await connected({
      erp: hook(down.url, { breaker: pause }),
      noise: hook(`http://127.0.0.1:${await freePort()}/`, noisy),
    });
    await record(pawl, 60);
    await Promise.all([pawl.work({ concurrency: 20 }), pawl.work({ concurrency: 20 })]);
    const trips = async () => {
      const [row] = await pawl.store.rows<{ trips: number }>(
        `select b.trips from pawl.breaker b join pawl.destination d on d.stream_id = b.stream_id where d.name = 'erp'`,
      );
      return row?.trips ?? 0;
    };
    await until("it has opened", async () => (await trips()) >= 1);
    // what had started before may arrive in the first pauses
    await until("none of its runs", async () => {
      const claims = "claim c join pawl.destination d on d.queue_id = c.queue_id";
      return (await count(pawl.store, `${claims} where d.name = 'erp'`)) === 0;
    });
    const [before, asked] = [await trips(), down.ids.length];
    await until("five probes have failed", async () => (await trips()) >= before + 5);
    expect(down.ids.length - asked).toBeLessThanOrEqual((await trips()) - before + 1);
  });

  test("R96: a receiver that is down is asked once in each pause, however many workers and slots there are", async () => {
    const down = await receiver(() => ({ status: 503 }));
    const pawl = await connected({
      erp: hook(down.url, { breaker: { failures: 5, open: "600ms", openMax: "600ms" } }),
    });
    await record(pawl, 60);
    await Promise.all([pawl.work({ concurrency: 20 }), pawl.work({ concurrency: 20 })]);
    const trips = () => until("the breaker opened", async () => (await breakers(pawl))[0]?.trips);
    await until("it has opened", async () => (await trips()) >= 1);
    await until("nothing runs", async () => (await count(pawl.store, "claim")) === 0);
    const [before, asked] = [await trips(), down.ids.length];
    await until("five probes have failed", async () => (await trips()) >= before + 5);
    // each trip is one failed probe; the last may be followed by one that is not told yet
    expect(down.ids.length - asked).toBeLessThanOrEqual((await trips()) - before + 1);
  });
});

test("R96: a receiver that answers 400 to the probe is up: its breaker lets go, and what it refuses dies alone", async () => {
  let isDown = true;
  const picky = await receiver(() => ({ status: isDown ? 503 : 400 }));
  const breaker = { failures: 5, open: "100ms", openMax: "100ms" };
  const pawl = await connected({
    erp: hook(picky.url, { breaker, retry: { ...QUICK, attempts: 30 } }),
  });
  await record(pawl, 10);
  await pawl.work({ concurrency: 10 });
  await until("it is open", async () => (await breakers(pawl))[0]?.phase === "open");
  isDown = false;
  await until("it lets go", async () => (await breakers(pawl))[0]?.phase !== "open");
  await until("all are dead", async () => (await count(pawl.store, "dead")) === 10);
  expect((await breakers(pawl)).filter((one) => one.phase === "open")).toEqual([]);
});

describe("Retry-After", () => {
  const inDays = (days: number) => new Date(Date.now() + days * 86_400_000).toUTCString();

  test("R96: 429 with Retry-After: 2 pauses the destination, and the delivery does not come back before", async () => {
    const limited = await receiver((nth) =>
      nth === 1 ? { status: 429, headers: { "retry-after": "2" } } : { status: 204 },
    );
    const pawl = await connected({ erp: hook(limited.url) });
    const clock = await movableClock(pawl.store, { isSlow: true }); // the pause does not end by itself
    await record(pawl, 1);
    await pawl.work({ concurrency: 1 });
    await until("the pause has begun", async () => (await breakers(pawl))[0]?.phase === "open");
    await until("the try is recorded", async () => (await count(pawl.store, "attempt")) === 1);
    await clock.advance(2_000);
    await nothingLeft(pawl);
    expect(limited.ids).toHaveLength(2);
    const [row] = await pawl.store.rows<{ wait_ms: number }>(
      `select (extract(epoch from f.started_at - a.ended_at) * 1000)::int as wait_ms
         from pawl.finished f join pawl.attempt a on a.task_id = f.id`,
    );
    expect(row?.wait_ms).toBeGreaterThanOrEqual(2_000);
  });

  test.each([
    ["2 s", "2", 2_000],
    ["a second more than a day", "86401", RETRY_AFTER_MS_MAX],
    ["a date in a week", inDays(7), RETRY_AFTER_MS_MAX],
    ["-5", "-5", 10],
    ["soon", "soon", 10],
    ["1.5", "1.5", 10],
    ["yesterday", inDays(-1), 10],
    ["0", "0", 10],
  ])(
    "R96: 503 with Retry-After of %s: the next try comes when it says, or as the policy says",
    async (_what, value, waitMs) => {
      const busy = await receiver(() => ({ status: 503, headers: { "retry-after": value } }));
      const pawl = await connected({ erp: hook(busy.url, { breaker: false }) });
      await record(pawl, 1);
      await pawl.work({ concurrency: 1, limit: 1 });
      const row = await until("the first try is recorded", async () => {
        const [found] = await pawl.store.rows<{ wait_ms: number }>(
          `select (extract(epoch from t.run_at - a.ended_at) * 1000)::int as wait_ms
           from pawl.task t join pawl.attempt a on a.task_id = t.id`,
        );
        return found;
      });
      expect(row.wait_ms).toBe(waitMs);
    },
  );

  test.each([
    ["-5", "-5"],
    ["soon", "soon"],
    ["0", "0"],
    ["yesterday", inDays(-1)],
  ])("R96: 429 with Retry-After of %s pauses nothing", async (_what, value) => {
    const busy = await receiver((nth) =>
      nth === 1 ? { status: 429, headers: { "retry-after": value } } : { status: 204 },
    );
    const pawl = await connected({ erp: hook(busy.url) });
    await record(pawl, 1);
    await pawl.work({ concurrency: 1 });
    await nothingLeft(pawl);
    expect((await breakers(pawl)).filter((one) => one.phase !== "closed")).toEqual([]);
  });

  test.each([1_500.5, 1e300, Number.NaN, Number.POSITIVE_INFINITY, -1])(
    "R96: a destination of one's own that asks to wait for %d ms: the try is recorded all the same",
    async (retryAfterMs) => {
      const own: DestinationDefinition = {
        type: "own",
        config: {},
        timeoutMs: 1_000,
        retry: QUICK,
        queue: { breaker: {} },
        deliver: () => {
          const data = { retryAfterMs, pauseMs: retryAfterMs };
          return Promise.reject(new PawlError("delivery_failed", "not now", { data }));
        },
      };
      const pawl = await connected({ own });
      await record(pawl, 1);
      await pawl.work({ concurrency: 1, limit: 1, grace: "1s" });
      await until("the try is recorded", async () => (await count(pawl.store, "attempt")) === 1);
    },
  );
});

describe("a receiver that wants no more", () => {
  test.each([
    [{ status: 410 }, "410", true],
    [{ status: 410, headers: { "retry-after": "5" } }, "410", true],
    [{ status: 204, headers: { "webhook-delivery": "disable" } }, "disable", false],
    [{ status: 500, headers: { "webhook-delivery": " Disable " } }, "disable", true],
  ])(
    "R96: %j turns its destination off and says why; what else waits for it goes on when it is resumed",
    async (answer, why, isDead) => {
      let isGone = true;
      const gone = await receiver(() => (isGone ? answer : { status: 204 }));
      const pawl = await connected({ erp: hook(gone.url), alarm: nullDestination() }, [
        on("order.*").to("erp"),
        on("pawl.destination.*").to("alarm"),
      ]);
      await record(pawl, 10);
      await pawl.work({ concurrency: 1 });
      await until("it is off", async () => (await count(pawl.store, "switch")) === 1);
      await until("nothing runs", async () => (await count(pawl.store, "claim")) === 0);
      const asked = gone.ids.length;
      const [off] = await pawl.store.rows("select name, off_by, why from pawl.switch");
      expect(off).toMatchObject({ name: "destination:erp", off_by: "pawl" });
      expect(off).toMatchObject({ why: expect.stringContaining(why) });
      expect(await count(pawl.store, "dead")).toBe(isDead ? asked : 0);
      await record(pawl, 1);
      await until("that is routed too", async () => {
        return (await count(pawl.store, "event where routed_at is null")) === 0;
      });
      expect(gone.ids).toHaveLength(asked);
      expect(await count(pawl.store, "event where name = 'pawl.destination.disabled'")).toBe(1);
      const [event] = await pawl.store.rows(
        "select payload from pawl.event where name like 'pawl.%'",
      );
      expect(event).toMatchObject({ payload: { destination: "erp" } });

      isGone = false;
      await pawl.store.rows("select pawl.resume_destination_v1('erp', 'ada', 'it is back')");
      await nothingLeft(pawl);
      expect(new Set(gone.ids).size).toBe(11);
    },
  );

  test("R96: abort-message ends this event's delivery as dead and leaves the destination on", async () => {
    const picky = await receiver((nth) => ({
      status: 422,
      headers: nth === 1 ? { "webhook-delivery": "abort-message" } : {},
    }));
    const pawl = await connected({ erp: hook(picky.url, { retry: { ...QUICK, attempts: 3 } }) });
    await record(pawl, 2);
    await pawl.work({ concurrency: 1 });
    await nothingLeft(pawl);
    const dead = await pawl.store.rows("select reason, attempt from pawl.dead order by id");
    expect(dead).toEqual([
      { reason: "unrecoverable", attempt: 1 },
      { reason: "attempts", attempt: 3 },
    ]);
    expect(await count(pawl.store, "switch")).toBe(0);
    expect(await breakers(pawl)).toEqual([]);
  });
});

test("R84: a destination that an operator adds while others are in use gets its first event at once", async () => {
  const pawl = await connected({ code: nullDestination() });
  await putDestination(pawl.store, "first");
  await putRoute(pawl.store, "order.*", "first");
  await pawl.work({ concurrency: 2 });
  await record(pawl, 1);
  await until("the first has its event", () => hasDelivered(pawl, "first"));
  await putDestination(pawl.store, "second");
  await putRoute(pawl.store, "late.*", "second");
  await record(pawl, 1, "late.one");
  await until("the second has its event", () => hasDelivered(pawl, "second"));
  expect(await count(pawl.store, "attempt")).toBe(0);
});

async function hasDelivered(pawl: Pawl, destination: string): Promise<boolean> {
  const rows = await pawl.store.rows(
    `select from pawl.delivery v join pawl.destination d on d.id = v.destination_id
       join pawl.finished f on f.id = v.task_id where d.name = $1`,
    [destination],
  );
  return rows.length > 0;
}
