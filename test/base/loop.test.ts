import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type LoopOptions, loop } from "../../src/base/loop.ts";

// Waits are measured on a clock that only the tests move.
beforeEach(() => {
  vi.useFakeTimers({
    toFake: [
      "setTimeout",
      "clearTimeout",
      "setInterval",
      "clearInterval",
      "setImmediate",
      "clearImmediate",
      "performance",
    ],
  });
});
afterEach(() => {
  vi.useRealTimers();
});

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

const HOUR_MS = 3_600_000;

function counted(options: Partial<LoopOptions> = {}) {
  const seen = { rounds: 0, errors: [] as unknown[] };
  const one = loop({
    runOnce: async () => {
      seen.rounds += 1;
      return HOUR_MS;
    },
    failed: (error) => seen.errors.push(error),
    ...options,
  });
  return { one, seen };
}

test("it runs at once, and again only after the wait that the round asked for", async () => {
  const times: number[] = [];
  const one = loop({
    runOnce: async () => {
      times.push(performance.now());
      return 30;
    },
    failed: () => undefined,
  });
  const started = performance.now();
  one.start();
  await pass(75);
  await one.stop();
  expect(times.map((at) => at - started)).toEqual([0, 30, 60]);
});

test("wake cuts the wait short", async () => {
  const { one, seen } = counted();
  one.start();
  await pass(1);
  expect(seen.rounds).toBe(1);
  one.wake();
  await pass(1);
  expect(seen.rounds).toBe(2);
  await one.stop();
});

test("a wake during a round is not lost: another round follows", async () => {
  let release: (() => void) | undefined;
  let rounds = 0;
  const one = loop({
    runOnce: async () => {
      rounds += 1;
      if (rounds === 1) {
        await new Promise<void>((resolve) => {
          release = resolve;
        });
      }
      return HOUR_MS;
    },
    failed: () => undefined,
  });
  one.start();
  await pass(1);
  expect(release).toBeDefined();
  one.wake();
  one.wake();
  release?.();
  await pass(1_000);
  await one.stop();
  expect(rounds).toBe(2);
});

test("a round that fails is reported and tried again", async () => {
  let rounds = 0;
  const { one, seen } = counted({
    runOnce: async () => {
      rounds += 1;
      if (rounds < 3) throw new Error(`round ${rounds}`);
      return HOUR_MS;
    },
  });
  one.start();
  await pass(10_000);
  await one.stop();
  expect(rounds).toBe(3);
  expect(seen.errors).toEqual([new Error("round 1"), new Error("round 2")]);
});

test("stop waits for the round under way, and nothing runs after it, woken or not", async () => {
  let release: (() => void) | undefined;
  let rounds = 0;
  let isStopped = false;
  const one = loop({
    runOnce: async () => {
      rounds += 1;
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      return 0;
    },
    failed: () => undefined,
  });
  one.start();
  await pass(1);
  const stopped = one.stop().then(() => {
    isStopped = true;
  });
  one.wake();
  await pass(1_000);
  expect(isStopped).toBe(false);
  release?.();
  await stopped;
  one.wake();
  await pass(HOUR_MS);
  expect(rounds).toBe(1);
});

test("being woken all the time does not put the next round off for ever", async () => {
  const { one, seen } = counted({ gapMs: 40 });
  one.start();
  const waking = setInterval(() => one.wake(), 10);
  await pass(1_000);
  clearInterval(waking);
  await one.stop();
  expect(seen.rounds).toBeGreaterThanOrEqual(20);
  expect(seen.rounds).toBeLessThanOrEqual(26);
});

test("a wake never makes the wait longer", async () => {
  let rounds = 0;
  const one = loop({
    runOnce: async () => {
      rounds += 1;
      return rounds === 1 ? 110 : HOUR_MS;
    },
    failed: () => undefined,
    gapMs: 100,
  });
  one.start();
  await pass(95);
  expect(rounds).toBe(1);
  one.wake();
  await pass(20);
  expect(rounds).toBe(2);
  await one.stop();
});

test("after a failure it rests for 100 ms, however often it is woken", async () => {
  const times: number[] = [];
  const one = loop({
    runOnce: async () => {
      times.push(performance.now());
      throw new Error("broken");
    },
    failed: () => setImmediate(() => one.wake()),
  });
  const waking = setInterval(() => one.wake(), 5);
  one.start();
  await pass(2_000);
  clearInterval(waking);
  await one.stop();
  const gaps = times.slice(1).map((at, i) => at - (times[i] ?? 0));
  expect(gaps.length).toBeGreaterThanOrEqual(4);
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual(100);
});

test.each([
  [
    "a round that throws before its promise",
    () => {
      throw new Error("at once");
    },
  ],
  ["a round that answers no promise", () => "soon" as never],
] as const)("%s neither ends the process nor the loop", async (_, runOnce) => {
  let rounds = 0;
  const { one } = counted({
    runOnce: () => {
      rounds += 1;
      return runOnce();
    },
  });
  one.start();
  await pass(10_000);
  await one.stop();
  expect(rounds).toBeGreaterThan(2);
});

test("a report of a failure that fails itself neither ends the process nor the loop", async () => {
  let rounds = 0;
  const { one } = counted({
    runOnce: async () => {
      rounds += 1;
      throw new Error("broken");
    },
    failed: () => {
      throw new Error("the report is broken too");
    },
  });
  one.start();
  await pass(10_000);
  await one.stop();
  expect(rounds).toBeGreaterThan(2);
});

test("one that is not to be hurried keeps its times, however often it is woken", async () => {
  const { one, seen } = counted({ isUnhurried: true });
  one.start();
  await pass(1);
  for (let i = 0; i < 5; i += 1) {
    one.wake();
    await pass(1);
  }
  expect(seen.rounds).toBe(1);
  await pass(HOUR_MS);
  expect(seen.rounds).toBe(2);
  await one.stop();
});
