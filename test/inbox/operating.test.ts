import { expect, test } from "vitest";
import { defineSource, type Pawl, SourceAnswered, type SourceEvent } from "../../src/index.ts";
import { auditRows } from "../../src/operate/sql.ts";
import { rawClient } from "../support/database.ts";
import { events, inboxApp, storedIds, upTo } from "../support/inbox-app.ts";
import { present } from "../support/present.ts";
import { until } from "../support/until.ts";

const QUICK = { gap: 0, limit: 10, idle: "20ms" } as const;

/** Requests of a source that have begun, by its log: the process that sends one may hear of it later. */
async function begun({ store }: Pawl, source: string): Promise<number> {
  const [row] = await store.rows<{ begun: number }>(
    `select coalesce(sum(w.attempt), 0)::int as begun
       from pawl.source_window w join pawl.source s on s.id = w.source_id where s.name = $1`,
    [source],
  );
  return row?.begun ?? 0;
}

/** Answers an error at the cursor until it is healed. */
function failing(name: string, at: string, count: number) {
  const state = { isHealed: false, asked: [] as string[] };
  const source = defineSource({
    ...QUICK,
    name,
    fetch: async (after, limit) => {
      state.asked.push(after);
      if (after === at && !state.isHealed) throw new SourceAnswered("500 Internal Server Error");
      return upTo(count)(after, limit);
    },
  });
  return { source, state };
}

test("R44: retry asks for the held window once more, and the audit tells who and why", async () => {
  const { source, state } = failing("orders", "10", 30);
  const { pawl, becomes } = await inboxApp([source]);
  await becomes("orders", { status: "held", storedCount: 10 });
  state.isHealed = true;
  const acted = await pawl.sources.retry("orders", { by: "ada", why: "their server is up again" });
  expect(acted).toMatchObject({ outcome: "done", fromCursor: "10", toCursor: "10" });
  await becomes("orders", { storedCount: 30, failures: 0, error: null });
  const [row] = await auditRows(pawl.store, { target: "source:orders", limit: 1 });
  expect(row).toMatchObject({
    by: "ada",
    action: "sources.retry",
    why: "their server is up again",
  });
  const retried = (await pawl.sources.windows()).find((one) => one.afterCursor === "10");
  expect(retried).toMatchObject({ state: "done", attempt: 2 });
});

test("R44: release gives the window up and asks for the same cursor in a new one", async () => {
  const { source, state } = failing("orders", "0", 10);
  const { pawl, becomes } = await inboxApp([source]);
  await becomes("orders", { status: "held" });
  state.isHealed = true;
  await pawl.sources.release("orders");
  await becomes("orders", { storedCount: 10 });
  const states = (await pawl.sources.windows()).map((one) => [one.afterCursor, one.state]);
  expect(states).toContainEqual(["0", "released"]);
  expect(states).toContainEqual(["0", "done"]);
});

test("R44: skip goes on behind the window; it wants a reason, and a cursor that lies ahead", async () => {
  const { source } = failing("orders", "10", 40);
  const { pawl, becomes } = await inboxApp([source]);
  await becomes("orders", { status: "held" });
  await expect(pawl.sources.skip("orders", { why: "", to: "20" })).rejects.toThrow(
    /expected `why` to be given: the reason/,
  );
  await expect(pawl.sources.skip("orders", { why: "gone" })).rejects.toThrow(/named no cursor/);
  await expect(pawl.sources.skip("orders", { why: "gone", to: "10" })).rejects.toThrow(/forward/);
  await expect(pawl.sources.skip("orders", { why: "gone", to: "x" })).rejects.toThrow(
    /whole number/,
  );
  await pawl.sources.skip("orders", { why: "their data is gone", to: "20" });
  await becomes("orders", { stored: "40", storedCount: 30 });
  expect(await storedIds(pawl, "orders")).not.toContain("15");
});

test("R44: skip of a window that had been empty before it was held wants a cursor, and says how", async () => {
  let isBroken = false;
  const source = defineSource({
    ...QUICK,
    name: "orders",
    fetch: async (after, limit) => {
      if (isBroken) throw new SourceAnswered("500");
      return upTo(3)(after, limit);
    },
  });
  const { pawl, becomes } = await inboxApp([source]);
  await becomes("orders", { storedCount: 3, windowState: "empty" });
  isBroken = true;
  await becomes("orders", { status: "held" });
  expect((await pawl.sources.why("orders")).line).toContain("skip orders --to <cursor> --why");
  await expect(pawl.sources.skip("orders", { why: "gone" })).rejects.toThrow(
    'source "orders": the page of its window named no cursor after it; say after which cursor it goes on (`--to`)',
  );
});

test("R44: skip without a cursor takes the one that the bad page named", async () => {
  const source = defineSource({
    ...QUICK,
    name: "orders",
    fetch: async (after, limit): Promise<SourceEvent[]> =>
      after === "0"
        ? [...events(1, 2), ...events(4, 4), ...events(3, 3), ...events(5, 5)]
        : upTo(8)(after, limit),
  });
  const { pawl, becomes } = await inboxApp([source]);
  await becomes("orders", { status: "held" });
  await pawl.sources.skip("orders", { why: "they doubled ids" });
  await becomes("orders", { stored: "8" });
  expect(await storedIds(pawl, "orders")).toEqual(["6", "7", "8"]);
});

test("R44: the cursor that a bad page named is forgotten once the window is asked for again", async () => {
  let asked = 0;
  const source = defineSource({
    ...QUICK,
    name: "orders",
    fetch: async (): Promise<SourceEvent[]> => {
      asked += 1;
      if (asked > 1) throw new SourceAnswered("500 Internal Server Error");
      return [...events(1, 2), ...events(4, 4), ...events(3, 3), ...events(5, 5)];
    },
  });
  const { pawl, becomes } = await inboxApp([source]);
  await becomes("orders", { status: "held", failures: 1 });
  await pawl.sources.retry("orders");
  await until("asked again", () => asked > 1);
  await becomes("orders", { status: "held" });
  await expect(pawl.sources.skip("orders", { why: "gone" })).rejects.toThrow(/named no cursor/);
});

test("R44 R46: rewind wants the name typed; then events are asked for again, and only what was missing is stored", async () => {
  const missing = new Set(["5", "6"]);
  const source = defineSource({
    ...QUICK,
    name: "orders",
    fetch: async (after, limit) =>
      (await upTo(20)(after, limit)).filter((event) => !missing.has(event.id)),
  });
  const { pawl, becomes } = await inboxApp([source]);
  await becomes("orders", { stored: "20", storedCount: 18 });
  missing.clear();
  const rewind = { to: "3", why: "5 and 6 came late" };
  await expect(pawl.sources.rewind("orders", { ...rewind, confirm: "order" })).rejects.toThrow(
    /confirm it by typing its name/,
  );
  await expect(
    pawl.sources.rewind("orders", { ...rewind, to: "99", confirm: "orders" }),
  ).rejects.toThrow(/not before/);
  await pawl.sources.rewind("orders", { ...rewind, confirm: "orders" });
  const source20 = await becomes("orders", { storedCount: 20, requested: "20", stored: "20" });
  expect(source20.duplicates).toBe(15);
  const ids = (await storedIds(pawl, "orders")).map(Number).sort((a, b) => a - b);
  expect(ids).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
});

test("R44: verbs are refused where there is nothing to decide, and name the nearest source", async () => {
  const { pawl, becomes } = await inboxApp([
    defineSource({ ...QUICK, name: "orders", fetch: upTo(3) }),
  ]);
  await becomes("orders", { storedCount: 3 });
  await expect(pawl.sources.retry("orders")).rejects.toThrow(/nothing to retry|in progress/);
  await expect(pawl.sources.retry("order")).rejects.toMatchObject({
    code: "source_not_found",
    message: 'no source "order"; did you mean "orders"?',
  });
  await expect(pawl.inbox.retry(["7"])).rejects.toMatchObject({ code: "inbox_event_not_found" });
});

test("R38: a paused source is asked for nothing more once pause has resolved, and the others go on", async () => {
  const asked = { one: 0, two: 0 };
  const source = (name: "one" | "two") =>
    defineSource({
      ...QUICK,
      name,
      fetch: async () => {
        asked[name] += 1;
        return [];
      },
    });
  const { pawl, becomes } = await inboxApp([source("one"), source("two")]);
  await until("both are asked", () => asked.one > 1 && asked.two > 1);
  await pawl.sources.pause("one", { by: "ada", why: "their maintenance" });
  const before = await begun(pawl, "one");
  await until("what had begun is sent", () => asked.one >= before);
  const others = asked.two;
  await until("the other is asked again", () => asked.two > others + 3);
  expect(asked.one).toBe(before);
  expect((await pawl.sources.why("one")).line).toContain("by ada (their maintenance)");
  await pawl.sources.resume("one");
  await until("it is asked again", () => asked.one > before);
  await becomes("one", { pausedAt: null });
});

test("R38: while everything is off no source is asked and nothing is stored", async () => {
  let asked = 0;
  const source = defineSource({
    ...QUICK,
    name: "orders",
    fetch: async (after, limit) => {
      asked += 1;
      return upTo(1_000)(after, Math.min(limit, 1));
    },
  });
  const { pawl, becomes } = await inboxApp([source]);
  await until("it is asked", () => asked > 3);
  await pawl.off("all", { why: "a test" });
  const before = await begun(pawl, "orders");
  await until("what had begun is sent", () => asked >= before);
  const off = await becomes("orders", { status: "off" });
  await pawl.sources.windows();
  expect(asked).toBe(before);
  await pawl.on("all");
  await until("it goes on", () => asked > before);
  await until("more is received", async () => {
    return (await present(pawl.sources.get("orders"))).received > off.received;
  });
});

test("R51: lag, rate, duplicates, what was set aside and the last fetch are visible", async () => {
  const source = defineSource({
    ...QUICK,
    name: "orders",
    fetch: async (after) => ({
      events:
        after === "0"
          ? [
              { id: "1", payload: 1, occurredAt: "2030-01-31T00:00:00Z" },
              { id: "2", raw: Buffer.from("{"), error: "cut off" },
            ]
          : [],
      lag: 41,
    }),
  });
  const { becomes } = await inboxApp([source]);
  const shown = await becomes("orders", { storedCount: 1, setAside: 1, lag: 41 });
  expect(shown.perMinute).toBe(1);
  expect(shown.lastFetchAt).toBeInstanceOf(Date);
  expect(shown.lastEventAt?.toISOString()).toBe("2030-01-31T00:00:00.000Z");
});

test("R46: a page of nothing but duplicates, received while a batch is being stored, still moves the cursor behind which all is stored", async () => {
  let isHeld = false;
  let isAsked = false;
  const source = defineSource({
    ...QUICK,
    name: "orders",
    fetch: async (after, limit) => {
      if (after === "0" && isHeld) {
        isAsked = true;
        await until("the feed answers", () => !isHeld);
      }
      return upTo(5)(after, limit);
    },
  });
  const { pawl, url, becomes } = await inboxApp([source]);
  await becomes("orders", { stored: "5", storedCount: 5 });
  isHeld = true;
  await pawl.sources.rewind("orders", { to: "0", why: "a drill", confirm: "orders" });
  await until("it is asked from the start", () => isAsked);
  // a batch has taken the last event, and has not been committed yet
  const mover = await rawClient(url);
  await mover.query("update pawl.source_storage set taken = taken - 1");
  await mover.query("begin");
  await mover.query("update pawl.source_storage set taken = taken + 1");
  isHeld = false;
  await until("the page waits for the batch, or has been received", async () => {
    const waits = await pawl.store.rows(
      "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%receive_v1%'",
    );
    return waits.length > 0 || (await present(pawl.sources.get("orders"))).requested === "5";
  });
  await mover.query("commit");
  await becomes("orders", { stored: "5", requested: "5" });
});
