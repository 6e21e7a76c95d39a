import { expect, onTestFinished, test, vi } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { runPush } from "../../src/inbox/push.ts";
import { defineSource, type Page, type PushContext } from "../../src/index.ts";
import { NamedLease } from "../../src/kernel/named-lease/named-lease.ts";
import { openSender } from "../../src/sender/sender.ts";
import type { Store } from "../../src/store/store.ts";
import { events, inboxApp, storedIds } from "../support/inbox-app.ts";
import { present } from "../support/present.ts";
import { until } from "../support/until.ts";

const QUICK = { limit: 10, retry: { delay: 10, factor: 1 } } as const;

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve());
  });
}

/** A stream of `count` events with offsets from 0, delivered from behind the cursor on. */
function stream(count: number, more: { fail?: (context: PushContext) => void } = {}) {
  const opened: string[] = [];
  const source = defineSource({
    ...QUICK,
    name: "stream",
    open: async (cursor, context) => {
      opened.push(cursor);
      for (let next = Number(cursor) + 1; next < count; next += 10) {
        if (context.signal.aborted) return;
        await context.deliver({ events: events(next, Math.min(next + 9, count - 1)) });
        more.fail?.(context);
      }
      await aborted(context.signal);
    },
  });
  return { source, opened };
}

test("R36 R45: a source that delivers by itself starts behind -1, so offset 0 is stored, and is opened once", async () => {
  const { source, opened } = stream(35);
  const { pawl, becomes } = await inboxApp([source]);
  await becomes("stream", { storedCount: 35, requested: "34", stored: "34" });
  expect((await storedIds(pawl, "stream"))[0]).toBe("0");
  expect(opened).toEqual(["-1"]);
  expect((await pawl.sources.windows({ state: "done" })).map((one) => one.events)).toEqual([
    5, 10, 10, 10,
  ]);
});

test("R43: what a stream had delivered before it broke is not asked for again; it is opened at the stored cursor", async () => {
  let failures = 0;
  const { source, opened } = stream(35, {
    fail: () => {
      failures += 1;
      if (failures % 2 === 1 && failures < 6) throw new Error("connection reset");
    },
  });
  const { pawl, becomes } = await inboxApp([source]);
  await becomes("stream", { storedCount: 35 });
  expect(opened).toEqual(["-1", "9", "29"]);
  expect(await storedIds(pawl, "stream")).toHaveLength(35);
});

test("R36 R43: a delivered page that breaks the contract is not taken, and the source is held", async () => {
  const page: Page = { events: [...events(5, 6), ...events(1, 2)] };
  let refused: unknown;
  const source = defineSource({
    ...QUICK,
    name: "stream",
    open: (_cursor, { deliver }) =>
      deliver(page).catch((error: unknown) => {
        refused = error;
        throw error;
      }),
  });
  const { becomes } = await inboxApp([source]);
  const held = await becomes("stream", { status: "held", heldFault: "answered" });
  expect(held.error).toContain("the id 1, after 6: ids must ascend");
  expect(held.received).toBe(0);
  expect(refused).toBeInstanceOf(Error);
});

test("R44: a stream that is rewound is opened anew at that cursor, and what was stored is dropped", async () => {
  const { source, opened } = stream(30);
  const { pawl, becomes } = await inboxApp([source]);
  await becomes("stream", { storedCount: 30 });
  await pawl.sources.rewind("stream", { to: "4", confirm: "stream", why: "a test" });
  await becomes("stream", { requested: "29", duplicates: 25, storedCount: 30 });
  expect(opened).toEqual(["-1", "4"]);
});

test("R50: a stream is not taken from while the inbox is full, and while it is paused", async () => {
  const { source } = stream(100);
  const small = { ...source, highWater: 30, lowWater: 10 };
  const { pawl, becomes } = await inboxApp([small], { work: { roles: ["loader"] } });
  await becomes("stream", { status: "full", backlog: 30 });
  await pawl.sources.pause("stream");
  await pawl.work({ roles: ["mover"] });
  await becomes("stream", { backlog: 0, status: "paused", received: 30 });
  await pawl.sources.resume("stream");
  await becomes("stream", { storedCount: 100 });
});

test("R39: one process at a time has a stream open; when it stops another goes on", async () => {
  const { source, opened } = stream(20);
  const { pawl, becomes } = await inboxApp([source], { work: false });
  const first = await pawl.work({ roles: ["loader"] });
  await until("it is open", () => opened.length === 1);
  await becomes("stream", { received: 20 });
  await pawl.work({ roles: ["loader"] });
  await first.stop();
  await until("the other has opened it", () => opened.length === 2);
  expect(opened).toEqual(["-1", "19"]);
});

test("a source that does not heed its signal does not hold up a stop, and delivers nothing afterwards", async () => {
  let late: PushContext | undefined;
  const source = defineSource({
    ...QUICK,
    name: "deaf",
    open: (_cursor, context) => {
      late = context;
      return new Promise(() => undefined);
    },
  });
  const { pawl } = await inboxApp([source], { work: false });
  const worker = await pawl.work({ roles: ["loader"] });
  const context = await until("it is open", () => late);
  await worker.stop();
  await expect(context.deliver({ events: events(0, 3) })).rejects.toThrow();
  expect((await present(pawl.sources.get("deaf"))).received).toBe(0);
});

/** A stream under its lease, without a loader: what it asks the database goes through `seen`. */
async function pushed(
  open: (context: PushContext) => Promise<void>,
  seen: (text: string, ask: () => Promise<unknown>) => Promise<unknown>,
) {
  const { source } = stream(0);
  const { pawl } = await inboxApp([source], { work: false });
  const { store } = pawl;
  const executor: Store = {
    ...store,
    rows: (text, values) => seen(text, () => store.rows(text, values)) as never,
    prepared: (text, values) => seen(text, () => store.prepared(text, values)) as never,
  };
  const options = { name: "source:stream", owner: "it", log: silentLogger };
  const lease = await NamedLease.take(store, options);
  if (!(lease instanceof NamedLease)) throw new Error("somebody else has the lease");
  onTestFinished(async () => {
    await lease.release();
  });
  let isStopping = false;
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  onTestFinished(() => void vi.useRealTimers());
  const running = runPush({ ...source, open: (_cursor, context) => open(context) }, lease, {
    executor,
    http: openSender(),
    log: silentLogger,
    payloadBytesMax: 1_000,
    holder: "it",
    abort: new AbortController().signal,
    isStopping: () => isStopping,
    starting: () => () => true,
    received: () => undefined,
  });
  /** Does not wait for what is asked of the database. */
  const stop = () => {
    isStopping = true;
    vi.advanceTimersByTime(1_000);
    return running;
  };
  return { pawl, stop };
}

test("a stream is looked after by one question at a time, however long the answer takes", async () => {
  let hasOpened = false;
  let asking = 0;
  let answer: (() => void) | undefined;
  const answered = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const { stop } = await pushed(
    ({ signal }) => {
      hasOpened = true;
      return aborted(signal);
    },
    async (text, ask) => {
      if (hasOpened && text.includes("push_cursor")) {
        asking += 1;
        await answered;
      }
      return ask();
    },
  );
  await until("it is open", () => hasOpened);
  vi.advanceTimersByTime(5_000);
  expect(asking).toBe(1);
  await stop();
  answer?.();
});

test("a look that sees a page before its own process knows that it is stored does not end the stream", async () => {
  let context: PushContext | undefined;
  let letGo: (() => void) | undefined;
  let looked = 0;
  const { pawl, stop } = await pushed(
    (given) => {
      context = given;
      return aborted(given.signal);
    },
    async (text, ask) => {
      const rows = await ask();
      if (text.includes("push_cursor") && letGo !== undefined) looked += 1;
      if (text.includes("receive_")) {
        await new Promise<void>((resolve) => {
          letGo = resolve;
        });
      }
      return rows;
    },
  );
  const { deliver, signal } = await until("it is open", () => context);
  const delivered = deliver({ events: events(0, 3) });
  await until("it is stored, and the answer is on its way", () => letGo !== undefined);
  vi.advanceTimersByTime(1_000);
  await until("it was looked at", () => looked === 1);
  expect(signal.aborted).toBe(false);
  letGo?.();
  await delivered;
  expect((await present(pawl.sources.get("stream"))).received).toBe(4);
  await pawl.sources.rewind("stream", { to: "1", confirm: "stream", why: "a test" });
  vi.advanceTimersByTime(1_000);
  await until("a move by a person ends it", () => signal.aborted);
  await stop();
});
