import { afterEach, expect, test, vi } from "vitest";
import { silentLogger } from "../../../src/base/log.ts";
import { deliverStream } from "../../../src/inbox/sources/stream-delivery.ts";
import { openSender } from "../../../src/sender/sender.ts";
import { fakeStreamClient } from "../../../src/testing/index.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** Counts calls by the code under test: others of this process listen too. */
function callsOf(name: "addEventListener" | "removeEventListener"): () => number {
  const original = EventTarget.prototype[name] as (...given: unknown[]) => void;
  let calls = 0;
  vi.spyOn(EventTarget.prototype, name).mockImplementation(function (
    this: EventTarget,
    ...given: unknown[]
  ) {
    const { stack = "" } = new Error("a listener");
    if (/inbox\/sources\/stream-delivery\./.test(stack)) calls += 1;
    original.apply(this, given);
  } as never);
  return () => calls;
}

test("a stream that stays silent for hours gathers no listeners", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const added = callsOf("addEventListener");
  const removed = callsOf("removeEventListener");
  const left = () => added() - removed();
  const over = new AbortController();
  const delivering = deliverStream({
    client: fakeStreamClient().client,
    cursor: 5,
    prefetch: 10,
    context: {
      signal: over.signal,
      http: openSender(),
      log: silentLogger,
      limit: 10,
      deliver: async () => undefined,
    },
    pageOf: () => ({ events: [] }),
    faultOf: (error) => error as Error,
  });
  await vi.advanceTimersByTimeAsync(10_000);
  const atFirst = left();
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(left()).toBe(atFirst);
  expect(removed()).toBeGreaterThan(50);
  over.abort();
  await delivering;
});
