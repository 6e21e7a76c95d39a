import { afterEach, expect, test, vi } from "vitest";
import { silentLogger } from "../../../src/base/log.ts";
import { deliverStream } from "../../../src/inbox/sources/stream-delivery.ts";
import { openSender } from "../../../src/sender/sender.ts";
import { fakeStreamClient } from "../../../src/testing/index.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

test("a stream that stays silent for hours gathers no listeners", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const added = vi.spyOn(EventTarget.prototype, "addEventListener");
  const removed = vi.spyOn(EventTarget.prototype, "removeEventListener");
  const left = () => added.mock.calls.length - removed.mock.calls.length;
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
  over.abort();
  await delivering;
});
