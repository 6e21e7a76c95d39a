import { expect, test } from "vitest";
import { type LoopOptions, loop } from "../../src/base/loop.ts";
import { until } from "../support/until.ts";

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
      return times.length < 3 ? 30 : HOUR_MS;
    },
    failed: () => undefined,
  });
  one.start();
  await until("three rounds", () => times.length === 3);
  await one.stop();
  const [first = 0, second = 0, third = 0] = times;
  expect(second - first).toBeGreaterThanOrEqual(29);
  expect(third - second).toBeGreaterThanOrEqual(29);
});

test("wake cuts the wait short", async () => {
  const { one, seen } = counted();
  one.start();
  await until("one round", () => seen.rounds === 1);
  one.wake();
  await until("a second round", () => seen.rounds === 2);
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
  await until("the round is under way", () => release !== undefined);
  one.wake();
  one.wake();
  release?.();
  await until("a second round", () => rounds === 2);
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
  await until("a third round", () => rounds === 3);
  await one.stop();
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
  await until("the round is under way", () => release !== undefined);
  const stopped = one.stop().then(() => {
    isStopped = true;
  });
  one.wake();
  await new Promise((resolve) => setImmediate(resolve));
  expect(isStopped).toBe(false);
  release?.();
  await stopped;
  one.wake();
  const { one: other, seen } = counted(); // as long as another loop takes to run, this one would have
  other.start();
  await until("another loop ran", () => seen.rounds === 1);
  await other.stop();
  expect(rounds).toBe(1);
});

test("being woken all the time does not put the next round off for ever", async () => {
  let rounds = 0;
  const one = loop({
    runOnce: async () => {
      rounds += 1;
      return 60_000;
    },
    failed: () => undefined,
    gapMs: 40,
  });
  one.start();
  await until("it ran three times", () => {
    one.wake();
    return rounds >= 3;
  });
  await one.stop();
});

test("a loop that is woken more often than its gap still runs", async () => {
  let rounds = 0;
  const one = loop({
    runOnce: async () => {
      rounds += 1;
      return 1_000;
    },
    failed: () => undefined,
    gapMs: 100,
  });
  one.start();
  await until("one round", () => rounds === 1);
  const waking = setInterval(() => one.wake(), 10);
  try {
    await until("a second round", () => rounds >= 2, 1_000);
  } finally {
    clearInterval(waking);
    await one.stop();
  }
  expect(rounds).toBeLessThan(13);
});

test("a wake never makes the wait longer", async () => {
  let rounds = 0;
  const started = performance.now();
  const one = loop({
    runOnce: async () => {
      rounds += 1;
      return rounds === 1 ? 110 : 1_000_000;
    },
    failed: () => undefined,
    gapMs: 100,
  });
  one.start();
  await until("one round", () => rounds === 1);
  await until("most of the wait is over", () => performance.now() - started > 90);
  one.wake();
  await until("a second round", () => rounds === 2);
  expect(performance.now() - started).toBeLessThan(180);
  await one.stop();
});
