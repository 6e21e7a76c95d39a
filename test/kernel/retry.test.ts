import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { retryDelayMs, retrySeries } from "../../src/kernel/retry.ts";
import { DEFAULT_QUEUES } from "../../src/queue/queue-options.ts";
import { freshStore } from "../support/database.ts";

const delay = fc.integer({ min: 1, max: 3_600_000 });
const jitter = fc.double({ min: 0, max: 1, noNaN: true });
const attempts = fc.integer({ min: 1, max: 60 });
const byFormula = fc.record({
  attempts,
  delay,
  factor: fc.double({ min: 1, max: 4, noNaN: true }),
  max: fc.integer({ min: 1, max: 86_400_000 }),
  jitter,
});
const byStep = fc.record({ attempts, delay, step: delay, jitter });
const byList = fc.record({ delays: fc.array(delay, { minLength: 1, maxLength: 20 }), jitter });
const policy = fc.oneof(byFormula, byStep, byList);

/** The delays of all attempts but the last, in the middle of their jitter, in seconds. */
function seconds(options: Parameters<typeof retrySeries>[0]): number[] {
  const series = retrySeries(options, "retry");
  return Array.from(
    { length: series.attempts - 1 },
    (_, i) => retryDelayMs(series, i + 1, 0.5) / 1_000,
  );
}

describe("R101: one policy for all", () => {
  test("SQL and TypeScript agree on the delay of any policy, attempt and luck", async () => {
    const store = await freshStore();
    const cases = fc.array(
      fc.record({
        policy,
        attempt: fc.integer({ min: 1, max: 100 }),
        luck: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
      { minLength: 50, maxLength: 100 },
    );
    await fc.assert(
      fc.asyncProperty(cases, async (all) => {
        const asked = all.map((one) => ({ ...one, series: retrySeries(one.policy, "retry") }));
        const rows = await store.rows<{ ms: string }>(
          `select pawl.retry_delay_ms(c.series, c.attempt, c.luck) as ms
             from jsonb_array_elements($1) with ordinality e (one, place)
             cross join lateral jsonb_to_record(e.one) as c (series jsonb, attempt int, luck float8)
            order by e.place`,
          [JSON.stringify(asked)],
        );
        for (const [i, row] of rows.entries()) {
          const one = asked[i];
          if (one === undefined) throw new Error("more answers than questions");
          // they round halves differently: 1 ms is the most that they may differ by
          const here = retryDelayMs(one.series, one.attempt, one.luck);
          expect(Math.abs(Number(row.ms) - here)).toBeLessThanOrEqual(1);
        }
      }),
      { numRuns: 20 },
    );
  });

  test("a jitter too small to multiply is none, and does not keep an attempt from being judged", async () => {
    const store = await freshStore();
    const series = retrySeries({ delays: ["1s"], jitter: 5e-324 }, "retry");
    const [row] = await store.rows("select pawl.retry_delay_ms($1, 1, 0.25) as ms", [
      JSON.stringify(series),
    ]);
    expect(row).toEqual({ ms: "1000" });
  });

  test("no delay leaves its jitter, and none is negative", () => {
    fc.assert(
      fc.property(policy, fc.integer({ min: 1, max: 100 }), jitter, (options, attempt, luck) => {
        const series = retrySeries(options, "retry");
        const middle = retryDelayMs(series, attempt, 0.5);
        const ms = retryDelayMs(series, attempt, luck);
        const spread = middle * series.jitter + 1;
        expect(ms).toBeGreaterThanOrEqual(Math.max(0, middle - spread));
        expect(ms).toBeLessThanOrEqual(middle + spread);
      }),
    );
  });

  test("R54: the default queues retry after 1, 2, 4 s; 5, 15, 45 s; 30, 60 s; then no more", () => {
    const series = Object.entries(DEFAULT_QUEUES).map(([name, { retry = {} }]) => [
      name,
      seconds(retry),
    ]);
    expect(Object.fromEntries(series)).toEqual({
      high: [1, 2, 4],
      normal: [5, 15, 45],
      low: [30, 60],
    });
  });

  test("linear, fixed, exponential with a cap, and none can all be written", () => {
    expect(seconds({ delays: ["60s", "60s", "60s", "60s", "2m", "3m"] })).toEqual([
      60, 60, 60, 60, 120, 180,
    ]);
    expect(seconds({ attempts: 5, delay: "60s", step: "30s" })).toEqual([60, 90, 120, 150]);
    expect(seconds({ attempts: 4, delay: "5m", factor: 1 })).toEqual([300, 300, 300]);
    expect(seconds({ attempts: 6, delay: "60s", factor: 2, max: "5m" })).toEqual([
      60, 120, 240, 300, 300,
    ]);
    expect(seconds({ attempts: 1 })).toEqual([]);
  });

  test("R112: a policy that cannot be is refused by name", () => {
    const bad = [
      [{ attempts: 0 }, "retry: expected `attempts`"],
      [{ attempts: 1.5 }, "retry: expected `attempts`"],
      [{ factor: 0.5 }, "retry: expected `factor`"],
      [{ factor: Number.NaN }, "retry: expected `factor`"],
      [{ jitter: 1.1 }, "retry: expected `jitter`"],
      [{ delays: [] }, "retry: expected `delays`"],
    ] as const;
    for (const [options, name] of bad) {
      expect(() => retrySeries(options as Parameters<typeof retrySeries>[0], "retry")).toThrow(
        name,
      );
    }
  });
});
