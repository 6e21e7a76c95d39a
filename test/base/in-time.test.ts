import { getEventListeners } from "node:events";
import { expect, test, vi } from "vitest";
import { following, inTime } from "../../src/base/in-time.ts";

const LONG_MS = 61_234;
const tooLate = () => new Error("too late");

test("nothing stays on a signal that outlives the work", async () => {
  const life = new AbortController();
  const options = { timeoutMs: 1_000, timedOut: tooLate, signals: [life.signal] };
  const seen: number[] = [];
  await inTime(options, async () => seen.push(getEventListeners(life.signal, "abort").length));
  await expect(inTime(options, () => Promise.reject(new Error("broken")))).rejects.toThrow(
    "broken",
  );
  expect(seen).toEqual([1]);
  expect(getEventListeners(life.signal, "abort")).toEqual([]);
});

test("the work hears of the deadline, and of who aborts, with their reasons", async () => {
  const heeding = (signal: AbortSignal) =>
    new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason as Error));
    });
  await expect(inTime({ timeoutMs: 1, timedOut: tooLate }, heeding)).rejects.toThrow("too late");
  const life = new AbortController();
  const asked = following([life.signal], heeding);
  life.abort(new Error("the end"));
  await expect(asked).rejects.toThrow("the end");
  await expect(following([life.signal], async (signal) => signal.aborted)).resolves.toBe(true);
});

test("work that heeds nothing is given up 5 s after its signal", async () => {
  vi.useFakeTimers();
  const set = vi.spyOn(globalThis, "setTimeout");
  const cleared = vi.spyOn(globalThis, "clearTimeout");
  try {
    let isOver = false;
    const given = inTime(
      { timeoutMs: 1_000, timedOut: tooLate },
      () => new Promise(() => undefined),
    )
      .catch((error: Error) => error.message)
      .finally(() => {
        isOver = true;
      });
    await vi.advanceTimersByTimeAsync(5_999);
    expect(isOver).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    await expect(given).resolves.toBe("too late");
    const over = AbortSignal.abort(new Error("over before"));
    const late = inTime(
      { timeoutMs: LONG_MS, timedOut: tooLate, signals: [over] },
      () => new Promise(() => undefined),
    );
    const lateEnd = expect(late).rejects.toThrow("over before");
    await vi.advanceTimersByTimeAsync(5_000);
    await lateEnd;
    // of this work alone: whatever else lives in the process has timers of its own
    const own = set.mock.results.filter((_, i) => set.mock.calls[i]?.[1] === LONG_MS);
    expect(own).toHaveLength(1);
    expect(cleared.mock.calls.map(([timer]) => timer)).toContain(own[0]?.value);
  } finally {
    vi.restoreAllMocks();
    vi.useRealTimers();
  }
});
