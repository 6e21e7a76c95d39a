import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob, type Pawl } from "../../src/index.ts";
import { BreakerReports } from "../../src/kernel/breaker/reports.ts";
import { failure } from "../../src/kernel/outcome.ts";
import { retrySeries } from "../../src/kernel/retry.ts";
import { RetryAfter, Snooze } from "../../src/kernel/thrown.ts";
import { defineQueue } from "../../src/queue/queue-options.ts";
import { freshDatabase } from "../support/database.ts";
import { claimed, enqueueSql } from "../support/kernel.ts";
import { until } from "../support/until.ts";

const YEARS_10_MS = 315_360_000_000;
const ABSURD = [1_790_000_000_000_000_000, 1e300, `${"9".repeat(300)}d`, YEARS_10_MS + 1, "3651d"];
const later = new Date(8.64e15);
const job = defineJob({ name: "j", input: z.object({}), run: () => undefined });
let pawl: Pawl;

beforeAll(async () => {
  const app = defineApp({
    name: "bounds",
    jobs: [job],
    queues: { a: { breaker: {} }, b: { breaker: {} } },
  });
  pawl = await connect(app, {
    databaseUrl: (await freshDatabase()).url,
    migrate: true,
    log: silentLogger,
  });
});

afterAll(() => pawl.close());

const queue = (options: object) => () => defineQueue("q", options);
const run = () => undefined;

describe("R113: a duration that neither a timer nor SQL can take is refused where it is said", () => {
  test.each([
    ["queues.q: expected `breaker.open`", "24d", queue({ breaker: { open: "30d" } })],
    ["queues.q: expected `breaker.openMax`", "24d", queue({ breaker: { openMax: "25d" } })],
    ["queues.q: expected `breaker.window`", "24d", queue({ breaker: { window: "0s" } })],
    ["queues.q: expected `timeout`", "24d", queue({ timeout: "25d" })],
    ["queues.q: expected `rate.per`", "24d", queue({ rate: { limit: 1, per: "30d" } })],
    [
      "queues.q: expected `rate`",
      "10 years",
      queue({ rate: { limit: 1, per: "24d", burst: 1_000_000 } }),
    ],
    ["queues.q: expected `keep.done`", "3650d", queue({ keep: { done: "4000d" } })],
    ["queues.q: expected `retry.delay`", "3650d", queue({ retry: { delay: 1e300 } })],
    ["queues.q: expected `retry.max`", "3650d", queue({ retry: { max: "4000d" } })],
    [
      "queues.q: expected `retry.delays[1]`",
      "3650d",
      queue({ retry: { delays: ["1s", "4000d"] } }),
    ],
    [
      "queues.q: expected `retry.until`",
      "3650d",
      queue({ retry: { until: Number.MAX_SAFE_INTEGER } }),
    ],
    [
      'defineJob, job "x": expected `timeout`',
      "24d",
      () => defineJob({ name: "x", input: z.any(), timeout: "30d", run }),
    ],
    [
      'defineJob, job "x": expected `expiresIn`',
      "3650d",
      () => defineJob({ name: "x", input: z.any(), expiresIn: 1e17, run }),
    ],
    ["RetryAfter.delay", "3650d", () => new RetryAfter(1_790_000_000_000_000_000)],
    ["Snooze.delay", "3650d", () => new Snooze("4000d")],
  ])("%s, which may be up to %s", (option, bound, define) => {
    expect(define).toThrow(
      expect.objectContaining({ code: "invalid_option", message: expect.stringContaining(option) }),
    );
    expect(define).toThrow(bound);
  });

  test.each(ABSURD)("or where it is used: %s", async (delay) => {
    const refused = { code: "invalid_option", message: expect.stringContaining("3650d") };
    await expect(pawl.enqueue(job, {}, { delay })).rejects.toMatchObject(refused);
    await expect(pawl.enqueue(job, {}, { expiresIn: delay })).rejects.toMatchObject(refused);
    await expect(pawl.off("all", { until: delay })).rejects.toMatchObject(refused);
    await expect(pawl.reschedule("1", { delay })).rejects.toMatchObject(refused);
  });

  test("a Date that PostgreSQL cannot read is refused before it is sent", async () => {
    for (const time of [later, new Date(Number.NaN), new Date(-8.64e15)]) {
      const refused = { code: "invalid_option", message: expect.stringContaining("valid Date") };
      await expect(pawl.enqueue(job, {}, { runAt: time })).rejects.toMatchObject(refused);
      await expect(pawl.enqueue(job, {}, { expiresAt: time })).rejects.toMatchObject(refused);
      const named = (option: string) => ({ ...refused, message: expect.stringContaining(option) });
      await expect(pawl.off("all", { until: time })).rejects.toMatchObject(named("`until`"));
      await expect(pawl.reschedule("1", { runAt: time })).rejects.toMatchObject(named("`runAt`"));
    }
  });

  test("through SQL too; the longest is taken", async () => {
    const task = { kind: "j", delay_ms: YEARS_10_MS, ttl_ms: YEARS_10_MS };
    expect(await enqueueSql(pawl.store, [task])).toHaveLength(1);
    for (const bad of [YEARS_10_MS + 1, 9_999_999_999_999, 1e300, -1, 0.5, "1s"]) {
      await expect(enqueueSql(pawl.store, [{ kind: "j", delay_ms: bad }])).rejects.toThrow(
        "bad delay_ms",
      );
      await expect(enqueueSql(pawl.store, [{ kind: "j", ttl_ms: bad }])).rejects.toThrow(
        "bad ttl_ms",
      );
    }
  });
});

describe("R113: a delay that somebody computed", () => {
  const task = claimed({ id: "1", seq: "1", attempt: 0 } as never, 1);

  test.each([Number.NaN, Infinity, -1, "abc", 1e300, undefined])(
    "as %s leaves the time to the policy, and says so",
    (delay) => {
      const made = (error: Error) => failure(task, Object.assign(error, { delayMs: delay }));
      const outcome = made(new RetryAfter(1, "later"));
      expect(outcome).toMatchObject({ kind: "retry" });
      expect(outcome.delayMs).toBeUndefined();
      expect(outcome.error?.message).toMatch(/^later \(the delay .* retry policy/);
      expect(made(new Snooze(1)).error?.message).toMatch(/^snoozed \(the delay/);
    },
  );

  test("of another copy of the package is heard by its name", () => {
    const foreign = (name: string, more = {}) => Object.assign(new Error("x"), { name, ...more });
    expect(failure(task, foreign("RetryAfter", { delayMs: 1.4 }))).toMatchObject({ delayMs: 1 });
    expect(failure(task, foreign("Unrecoverable"))).toMatchObject({ kind: "unrecoverable" });
    expect(failure(task, foreign("Recoverable"))).toMatchObject({ kind: "recoverable" });
    const said = { data: { retryAfterMs: 1e300, pauseMs: Number.NaN } };
    expect(failure(task, foreign("PawlError", said)).delayMsMin).toBe(30 * 86_400_000);
  });

  test("no factor makes a delay that is no number", () => {
    const series = retrySeries({ attempts: 1_000, delay: 0, factor: 1e10 }, "retry");
    expect(series.delays_ms).toEqual([0]);
    expect(retrySeries({ attempts: 1_000, factor: 1e300 }, "retry").delays_ms).toEqual([
      1_000, 86_400_000,
    ]);
  });
});

test("R113: a breaker setting that SQL cannot hold keeps its own breaker from being told, and no other", async () => {
  await pawl.store.rows(
    `update pawl.queue set breaker = breaker || '{"window_ms": 2592000000}' where name = 'a'`,
  );
  await enqueueSql(pawl.store, [
    { kind: "x", queue: "a" },
    { kind: "x", queue: "b" },
  ]);
  const streams = await pawl.store.rows<{ id: number }>(
    `select st.id from pawl.stream st join pawl.queue q on q.id = st.queue_id where q.name in ('a', 'b') order by q.name`,
  );
  const errors: object[] = [];
  const reports = new BreakerReports({
    store: pawl.store,
    log: { ...silentLogger, error: (data) => errors.push(data) },
    hasBreaker: () => true,
  });
  for (const { id } of streams) {
    const task = { ...claimed({ id: "1", seq: "1", attempt: 0 } as never, 1), streamId: id };
    reports.note(failure(task, new Error("down")), false);
  }
  reports.start();
  const told = () => pawl.store.rows<{ id: number }>("select stream_id as id from pawl.breaker");
  await until("the other is told", async () => (await told()).length > 0);
  await reports.stop();
  expect(await told()).toEqual([streams[1]]);
  expect(errors).toMatchObject([{ stream: streams[0]?.id }]);
});
