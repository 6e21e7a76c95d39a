import { expect, onTestFinished, test } from "vitest";
import { defineSource, httpSource, SourceAnswered, SourceUnavailable } from "../../src/index.ts";
import { httpServer } from "../sender/local-servers.ts";
import { events, inboxApp, storedIds, upTo } from "../support/inbox-app.ts";
import { present } from "../support/present.ts";
import { until } from "../support/until.ts";

const QUICK = { gap: 0, limit: 10, idle: "20ms" } as const;

test("R42 R45 R46: what a source gives out is stored once, and both cursors follow", async () => {
  const asked: string[] = [];
  const numbers = defineSource({
    ...QUICK,
    name: "numbers",
    fetch: (after, limit) => {
      asked.push(after);
      return upTo(25)(after, limit);
    },
  });
  const { pawl, becomes } = await inboxApp([numbers]);
  const source = await becomes("numbers", { storedCount: 25, stored: "25" });
  expect(asked.slice(0, 3)).toEqual(["0", "10", "20"]);
  expect(source).toMatchObject({ requested: "25", backlog: 0, received: 25, duplicates: 0 });
  expect(await storedIds(pawl, "numbers")).toEqual(events(1, 25).map((event) => event.id));
  const windows = await pawl.sources.windows({ source: "numbers", state: "done" });
  expect(windows.map((one) => one.events)).toEqual([5, 10, 10]);
});

test("R42: an empty answer releases its window, which is asked for again instead of filling the log", async () => {
  let asked = 0;
  const quiet = defineSource({
    ...QUICK,
    name: "quiet",
    fetch: async () => {
      asked += 1;
      return [];
    },
  });
  const { pawl } = await inboxApp([quiet]);
  await until("it is asked five times", () => asked >= 5);
  const windows = await pawl.sources.windows({ source: "quiet" });
  expect(windows).toHaveLength(1);
  expect(windows[0]?.attempt).toBeGreaterThanOrEqual(4);
});

test("R36: an answer that breaks the contract is refused whole, its window is held, and other sources go on", async () => {
  const bad = (name: string, ids: number[]) =>
    defineSource({
      ...QUICK,
      name,
      fetch: async () => ids.map((id) => ({ id: String(id), payload: {} })),
    });
  const sources = [
    bad("descending", [3, 2]),
    bad("behind", [0]),
    bad(
      "too-many",
      Array.from({ length: 11 }, (_, i) => i + 1),
    ),
    defineSource({ ...QUICK, name: "nonsense", fetch: async () => 7 as never }),
    defineSource({ ...QUICK, name: "good", fetch: upTo(30) }),
  ];
  const { pawl, becomes } = await inboxApp(sources);
  const errors: Record<string, string | null> = {};
  for (const { name } of sources.slice(0, 4)) {
    const source = await becomes(name, { status: "held", heldFault: "answered" });
    expect(source).toMatchObject({ received: 0, windowState: "held" });
    errors[name] = source.error;
  }
  expect(errors.descending).toContain("the id 2, after 3: ids must ascend");
  expect(errors.behind).toContain("the id 0, which is not after the cursor 0");
  expect(errors["too-many"]).toContain("11 events, but at most 10");
  expect(errors.nonsense).toContain("expected an array of events");
  await becomes("good", { storedCount: 30 });
  expect(await pawl.inbox.list()).toEqual([]);
});

test("R43: unsent is retried, what was answered or is unknown is held, each with its reason", async () => {
  let unsent = 0;
  const asked = { answered: 0, unknown: 0 };
  const sources = [
    defineSource({
      ...QUICK,
      name: "unsent",
      retry: { delay: 10, factor: 1 },
      fetch: async (after, limit) => {
        unsent += 1;
        if (unsent < 8) throw new SourceUnavailable("no route to host", { sent: "no" });
        return upTo(5)(after, limit);
      },
    }),
    defineSource({
      ...QUICK,
      name: "answered",
      fetch: async () => {
        asked.answered += 1;
        throw new SourceAnswered("503 Service Unavailable", { status: 503 });
      },
    }),
    defineSource({
      ...QUICK,
      name: "unknown",
      fetch: async () => {
        asked.unknown += 1;
        throw new Error("connection reset");
      },
    }),
  ];
  const { becomes, pawl } = await inboxApp(sources);
  await becomes("unsent", { storedCount: 5 });
  const answered = await becomes("answered", { status: "held", heldFault: "answered" });
  expect(answered.error).toBe("503 Service Unavailable");
  await becomes("unknown", { status: "held", heldFault: "unknown" });
  const { line } = await pawl.sources.why("unknown");
  expect(line).toMatch(/held since .*: its outcome is unknown: connection reset; decide with/);
  // by default nobody asks again before a person decides
  expect(asked).toEqual({ answered: 1, unknown: 1 });
});

test("R43: with `retry` for unknown outcomes it is asked again by itself, and is held when its tries are used up", async () => {
  const asked: Record<string, number> = {};
  const source = (name: string, failures: number) =>
    defineSource({
      ...QUICK,
      name,
      onFault: { unknown: "retry" },
      retry: { attempts: 3, delay: 10, factor: 1 },
      fetch: async (after, limit) => {
        asked[name] = (asked[name] ?? 0) + 1;
        if (asked[name] <= failures) throw new Error("cut off");
        return upTo(5)(after, limit);
      },
    });
  const { becomes } = await inboxApp([source("again", 2), source("spent", 100)]);
  await becomes("again", { storedCount: 5 });
  await becomes("spent", { status: "held", heldFault: "unknown" });
  expect(asked.spent).toBe(3);
});

test("R43: a request that does not heed its deadline is given up, unknown", async () => {
  const deaf = defineSource({
    ...QUICK,
    name: "deaf",
    timeout: "50ms",
    fetch: () => new Promise(() => undefined),
  });
  const heeding = defineSource({
    ...QUICK,
    name: "heeding",
    timeout: "50ms",
    fetch: (_after, _limit, { signal }) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason as Error));
      }),
  });
  const { becomes } = await inboxApp([deaf, heeding]);
  const source = await becomes("heeding", { status: "held", heldFault: "unknown" });
  expect(source.error).toContain("no answer within 50 ms");
  await becomes("deaf", { status: "held", heldFault: "unknown" });
});

test("R43: a feed over HTTP that is silent until the deadline is held as unknown, and says after how long", async () => {
  const server = await httpServer(() => undefined);
  onTestFinished(() => server.close());
  const silent = httpSource({ name: "silent", url: server.url, page: "id", timeout: "100ms" });
  const { becomes } = await inboxApp([silent], { http: { allow: ["127.0.0.1"] } });
  const source = await becomes("silent", { status: "held", heldFault: "unknown" });
  expect(source.error).toMatch(/^source "silent": no answer within 100 ms: GET .*: stopped by us/);
});

test("R42 R43: a page that cannot be parsed is kept, and parsed again after the fix without another request", async () => {
  let asked = 0;
  let isFixed = false;
  const source = defineSource({
    ...QUICK,
    name: "pages",
    request: async () => {
      asked += 1;
      return { bytes: Buffer.from(asked === 1 ? "1;2;3" : "") };
    },
    parse: ({ bytes }) => {
      if (!isFixed) throw new Error("what is a semicolon?");
      const ids = Buffer.from(bytes).toString().split(";").filter(Boolean);
      return { events: ids.map((id) => ({ id, payload: { id } })) };
    },
  });
  const { pawl, becomes } = await inboxApp([source]);
  const held = await becomes("pages", { status: "held", hasPage: true });
  expect(held.error).toContain("what is a semicolon?");
  expect(asked).toBe(1);
  isFixed = true;
  await pawl.sources.retry("pages", { why: "the parser was fixed" });
  await becomes("pages", { storedCount: 3 });
  const [window] = (await pawl.sources.windows({ state: "done" })).slice(-1);
  expect(window).toMatchObject({ attempt: 1, events: 3, afterCursor: "0" });
});

test("R45: opaque cursors go on where the last page said, and an id that comes again is dropped", async () => {
  const pages: Record<string, { ids: string[]; next: string }> = {
    "": { ids: ["b", "a"], next: "page 2" },
    "page 2": { ids: ["a", "c"], next: "page 3" },
    "page 3": { ids: [], next: "page 3" },
  };
  const source = defineSource({
    ...QUICK,
    name: "opaque",
    cursor: "opaque",
    fetch: async (after) => {
      const { ids, next } = pages[after] ?? { ids: [], next: after };
      return { events: ids.map((id) => ({ id, payload: id })), next, more: true };
    },
  });
  const { pawl, becomes } = await inboxApp([source]);
  await becomes("opaque", { requested: "page 3", stored: "page 3", storedCount: 3 });
  expect(await storedIds(pawl, "opaque")).toEqual(["b", "a", "c"]);
  expect((await present(pawl.sources.get("opaque"))).duplicates).toBe(1);
});

test("R45: a source that starts at -1 does not leave out id 0; a start is settable", async () => {
  const sources = [
    defineSource({ ...QUICK, name: "zero", start: -1, fetch: upTo(3) }),
    defineSource({ ...QUICK, name: "later", start: 20n, fetch: upTo(25) }),
  ];
  const { pawl, becomes } = await inboxApp(sources);
  await becomes("zero", { stored: "3" });
  await becomes("later", { stored: "25" });
  expect(await storedIds(pawl, "zero")).toEqual(["0", "1", "2", "3"]);
  expect((await storedIds(pawl, "later"))[0]).toBe("21");
});

test("R46: an event that cannot be stored is set aside with its bytes, and its neighbours are stored", async () => {
  const source = defineSource({
    ...QUICK,
    name: "mixed",
    fetch: async (after) =>
      after !== "0"
        ? []
        : [
            { id: "1", payload: "good" },
            { id: "2", raw: Buffer.from([0x7b, 0xff]), error: "no JSON" },
            { id: "3", payload: "a \u0000 in it" },
            { id: "4", payload: "good", occurredAt: "yesterday" },
            { id: "5", payload: "good" },
          ],
  });
  const { pawl, becomes } = await inboxApp([source]);
  await becomes("mixed", { storedCount: 2, setAside: 3, backlog: 0, stored: "5" });
  const aside = await pawl.inbox.list({ source: "mixed" });
  expect(aside.map((one) => one.id)).toEqual(["2", "3", "4"]);
  expect(Buffer.from(aside[0]?.raw ?? [])).toEqual(Buffer.from([0x7b, 0xff]));
  expect(aside[0]?.error).toBe("no JSON");
  expect(aside[1]?.error).toContain("\\u0000");
  expect(aside[2]?.error).toContain("occurredAt");
});
