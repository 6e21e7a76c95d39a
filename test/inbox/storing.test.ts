import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob, defineSource, type StoreHandler } from "../../src/index.ts";
import { events, type InboxApp, inboxApp, storedIds, upTo } from "../support/inbox-app.ts";
import { present } from "../support/present.ts";
import { until } from "../support/until.ts";

const QUICK = { gap: 0, limit: 100, idle: "50ms" } as const;
const ONE_TRY = { attempts: 1 } as const;
/** One batch at a time: two at once may share a page between them in any way, a few here, the rest there. */
const ONE_BATCH = { order: "source" } as const;

/** What handlers wrote, in the order in which they did. */
async function effects({ pawl }: InboxApp): Promise<string[]> {
  const rows = await pawl.store.rows<{ id: string }>("select id from effect order by place");
  return rows.map((row) => row.id);
}

function numbers(count: number, store: StoreHandler, more: object = {}) {
  return defineSource({ ...QUICK, ...more, name: "numbers", fetch: upTo(count), store });
}

/** The table is there before the first worker starts. */
async function withEffects(sources: Parameters<typeof inboxApp>[0], more = {}): Promise<InboxApp> {
  const app = await inboxApp(sources, { ...more, work: false });
  await app.pawl.store.rows("create table effect (id text, place bigserial)");
  await app.pawl.work();
  return app;
}

const writeEach: StoreHandler = async (batch, { tx }) => {
  await tx.query("insert into effect (id) select unnest($1::text[])", [batch.map(({ id }) => id)]);
};

test("R46: a poison event is set aside alone after its tries, the rest of its batch is stored, and it can be tried again after a fix", async () => {
  let isFixed = false;
  const source = numbers(
    30,
    async (batch, context) => {
      await writeEach(batch, context);
      if (!isFixed && batch.some(({ id }) => id === "17")) throw new Error("17 is poison");
    },
    { storeRetry: { attempts: 2, delay: 10 } },
  );
  const app = await withEffects([source]);
  await app.becomes("numbers", { storedCount: 29, setAside: 1, backlog: 0 });
  const [aside] = await app.pawl.inbox.list();
  expect(aside).toMatchObject({ id: "17", attempts: 2, error: "17 is poison", payload: { n: 17 } });
  expect(await effects(app)).not.toContain("17");
  isFixed = true;
  await app.pawl.inbox.retry([aside?.number ?? ""], { why: "the handler was fixed" });
  await app.becomes("numbers", { storedCount: 30, setAside: 0, stored: "30" });
  const ids = await effects(app);
  expect([...ids].sort((a, b) => Number(a) - Number(b))).toEqual(events(1, 30).map((e) => e.id));
});

test("R46: null is a payload like any other, for the table and for a handler", async () => {
  const empty = { ...QUICK, fetch: async (after: string) => (after === "0" ? nulls : []) };
  const nulls = events(1, 3).map(({ id }) => ({ id, payload: null }));
  const seen: unknown[] = [];
  const { pawl, becomes } = await inboxApp([
    defineSource({ ...empty, name: "tabled" }),
    defineSource({
      ...empty,
      name: "handled",
      store: async (batch) => void seen.push(...batch.map((event) => event.payload)),
    }),
  ]);
  await becomes("tabled", { storedCount: 3, backlog: 0 });
  await becomes("handled", { storedCount: 3, backlog: 0 });
  expect(seen).toEqual([null, null, null]);
  const rows = await pawl.store.rows("select distinct payload from pawl.stored_event");
  expect(rows).toEqual([{ payload: null }]);
});

test("R46 R51: a table that takes nothing lets storing rest, says why, and goes on once it is mended", async () => {
  const source = defineSource({ ...QUICK, name: "orders", fetch: upTo(20) });
  const { pawl, becomes } = await inboxApp([source], { work: false });
  await pawl.store.rows(
    "alter table pawl.stored_event add constraint broken check (false) not valid",
  );
  await pawl.work();
  const rests = await until("storing rests", async () => {
    const seen = await present(pawl.sources.get("orders"));
    return seen.received === 20 && seen.storingFailures > 0 && seen;
  });
  expect(rests).toMatchObject({ storedCount: 0, setAside: 0 });
  expect(rests.storingError).toContain("broken");
  expect((await pawl.sources.why("orders")).line).toMatch(
    /20 events wait to be stored.*storing fails as such.*broken/,
  );
  await pawl.store.rows("alter table pawl.stored_event drop constraint broken");
  await becomes("orders", { storedCount: 20, storingFailures: 0, backlog: 0 });
});

test("R46: several poison events beside each other are told from a storage that is down", async () => {
  const source = numbers(
    40,
    async (batch, context) => {
      await writeEach(batch, context);
      if (batch.some(({ id }) => Number(id) <= 12)) throw new Error("poison");
    },
    { ...ONE_BATCH, storeRetry: ONE_TRY },
  );
  const app = await withEffects([source]);
  await app.becomes("numbers", { storedCount: 28, setAside: 12 });
});

test("R46: while storing fails for every event nothing is set aside, the source says so, and it goes on by itself", async () => {
  let isDown = true;
  let calls = 0;
  const source = numbers(
    20,
    async (batch, context) => {
      calls += 1;
      if (isDown) throw new Error("the warehouse is down");
      await writeEach(batch, context);
    },
    { ...ONE_BATCH, storeRetry: ONE_TRY },
  );
  const app = await withEffects([source]);
  const down = await app.becomes("numbers", { storingError: "the warehouse is down" });
  expect(down).toMatchObject({ setAside: 0, storedCount: 0 });
  const { line } = await app.pawl.sources.why("numbers");
  expect(line).toContain("storing fails as such");
  expect(calls).toBeGreaterThan(5);
  isDown = false;
  await app.becomes("numbers", { storedCount: 20, setAside: 0, storingError: null });
});

test("R46: jobs and events of a handler commit with the batch, and not without it", async () => {
  let ran = 0;
  const job = defineJob({
    name: "follow-up",
    input: z.object({ id: z.string() }),
    run: () => {
      ran += 1;
    },
  });
  const source = numbers(
    10,
    async (batch, { enqueue, record }) => {
      for (const { id } of batch) {
        await enqueue(job, { id });
        await record("number.stored", { aggregate: ["number", id], payload: { id } });
      }
      if (batch.some(({ id }) => id === "4")) throw new Error("4 is poison");
    },
    { storeRetry: ONE_TRY },
  );
  const app = await withEffects([source], { jobs: [job] });
  await app.becomes("numbers", { storedCount: 9, setAside: 1 });
  await until("the jobs have run", () => ran === 9);
  const recorded = await app.pawl.store.rows<{ id: string }>(
    "select aggregate_id as id from pawl.event where name = 'number.stored'",
  );
  const ids = recorded.map((row) => Number(row.id)).sort((a, b) => a - b);
  expect(ids).toEqual([1, 2, 3, 5, 6, 7, 8, 9, 10]);
});

test("R46: with order kept, what follows an event that is tried again waits for it", async () => {
  let failures = 0;
  const source = numbers(
    30,
    async (batch, context) => {
      const isBad = batch.some(({ id }) => id === "11");
      if (isBad) failures += 1;
      if (isBad && failures < 8) throw new Error("not yet");
      await writeEach(batch, context);
    },
    {
      order: "source",
      limit: 7,
      storeBatch: 5,
      storeRetry: { attempts: 20, delay: 10, factor: 1 },
    },
  );
  const app = await withEffects([source]);
  await app.pawl.work({ roles: ["mover"] });
  await app.becomes("numbers", { storedCount: 30 });
  expect(await effects(app)).toEqual(events(1, 30).map((event) => event.id));
});

test("R46: movers that work side by side give each event to the handler once", async () => {
  const source = numbers(400, writeEach, { storeBatch: 7 });
  const app = await withEffects([source]);
  await Promise.all([1, 2, 3].map(() => app.pawl.work({ roles: ["mover"] })));
  await app.becomes("numbers", { storedCount: 400, backlog: 0, stored: "400" });
  const ids = await effects(app);
  expect(new Set(ids).size).toBe(400);
  expect(ids).toHaveLength(400);
});

test("R46: bytes that could not be read are read again as JSON, or by the source's own decoder, which may refuse them again", async () => {
  let isFixed = false;
  const lines = defineSource({
    ...QUICK,
    name: "lines",
    fetch: async (after) =>
      after === "0" ? [{ id: "1", raw: Buffer.from("a;1"), error: "no `;` was expected" }] : [],
    decode: (raw, id) => {
      if (!isFixed) throw new Error("what is a semicolon?");
      const [name = "", n] = Buffer.from(raw).toString().split(";");
      return { id, name, payload: { n: Number(n) } };
    },
  });
  const app = await inboxApp([lines]);
  await app.becomes("lines", { setAside: 1, stored: "1" });
  const [aside] = await app.pawl.inbox.list();
  const retry = () => app.pawl.inbox.retry([aside?.number ?? ""]);
  await retry();
  await until("it was refused again", async () => {
    const [again] = await app.pawl.inbox.list();
    return again?.error === "what is a semicolon?" && again.attempts === 1;
  });
  isFixed = true;
  await retry();
  await app.becomes("lines", { storedCount: 1, setAside: 0 });
  const rows = await app.pawl.store.rows("select name, payload from pawl.stored_event");
  expect(rows).toEqual([{ name: "a", payload: { n: 1 } }]);
});

test("R38 R46: what is refused again for a reason that quotes it is set aside again, and holds up neither its source nor another", async () => {
  const torn = Buffer.from('\0\0{"a":1}');
  const giving = (name: string, more: object) =>
    defineSource({ ...QUICK, ...more, name, fetch: upTo(3) });
  const broken = defineSource({
    ...QUICK,
    name: "a-broken",
    fetch: async (after) =>
      after === "0" ? [{ id: "1", raw: torn, error: "torn" }, ...events(2, 3)] : [],
  });
  const app = await inboxApp([broken, giving("b-good", {})]);
  await app.becomes("a-broken", { setAside: 1, storedCount: 2 });
  const [aside] = await app.pawl.inbox.list();
  await app.pawl.inbox.retry([aside?.number ?? ""]);
  const again = await until("it was refused again", async () => {
    const [one] = await app.pawl.inbox.list();
    return one?.state === "set_aside" && one.attempts === 1 && one;
  });
  expect(again.error).toMatch(/\\0|\\u0000/);
  await app.becomes("b-good", { storedCount: 3, storingFailures: 0 });
});

test("R46: an event that was decoded and could not be stored is tried again as that event, not as bytes", async () => {
  const decode = () => {
    throw new Error("these are no bytes of mine");
  };
  const large = { id: "1", name: "large", payload: "x".repeat(2_000) };
  const late = { id: "2", name: "late", payload: 2, occurredAt: "+055840-01-01T00:00:00.000Z" };
  const source = defineSource({
    ...QUICK,
    name: "orders",
    decode,
    fetch: async (after) => (after === "0" ? [large, late] : []),
  });
  const app = await inboxApp([source], { maxPayloadBytes: 1_024 });
  await app.becomes("orders", { setAside: 2, stored: "2" });
  const aside = await app.pawl.inbox.list();
  expect(aside.map((one) => one.error)).toEqual([
    expect.stringContaining("payload"),
    expect.stringContaining("occurredAt"),
  ]);
  await app.pawl.close();

  const roomier = defineApp({ sources: [source], maxPayloadBytes: 4_096 });
  const pawl = await connect(roomier, { databaseUrl: app.url, log: silentLogger });
  onTestFinished(() => pawl.close());
  await pawl.work();
  await pawl.inbox.retry(aside.map((one) => one.number));
  await until("the one is stored, the other refused again", async () => {
    const { setAside, storedCount } = await present(pawl.sources.get("orders"));
    return setAside === 1 && storedCount === 1;
  });
  const rows = await pawl.store.rows("select name, payload from pawl.stored_event");
  expect(rows).toEqual([{ name: "large", payload: large.payload }]);
  const [left] = await pawl.inbox.list();
  expect(left?.error).toContain("occurredAt");
});

test("R46: bytes of a source without a decoder are read again as JSON", async () => {
  const source = defineSource({
    ...QUICK,
    name: "bytes",
    fetch: async (after) =>
      after === "0"
        ? [{ id: "1", raw: Buffer.from('{"a":1}'), error: "the decoder was wrong" }]
        : [],
  });
  const app = await inboxApp([source]);
  await app.becomes("bytes", { setAside: 1, stored: "1" });
  const [aside] = await app.pawl.inbox.list();
  await app.pawl.inbox.retry([aside?.number ?? ""]);
  await app.becomes("bytes", { storedCount: 1, setAside: 0 });
  const rows = await app.pawl.store.rows("select event_id, payload from pawl.stored_event");
  expect(rows).toEqual([{ event_id: "1", payload: { a: 1 } }]);
});

test("R46: an event that the handler has stored is not given to it again after a rewind", async () => {
  const app = await withEffects([numbers(20, writeEach)]);
  await app.becomes("numbers", { storedCount: 20 });
  await app.pawl.sources.rewind("numbers", { to: "0", confirm: "numbers", why: "a test" });
  await app.becomes("numbers", { requested: "20", duplicates: 20, stored: "20" });
  expect(await effects(app)).toHaveLength(20);
});

test("R50: loading pauses above the high-water mark and goes on below the low one", async () => {
  let asked = 0;
  const source = defineSource({
    ...QUICK,
    name: "flood",
    limit: 10,
    highWater: 50,
    lowWater: 20,
    fetch: (after, limit) => {
      asked += 1;
      return upTo(200)(after, limit);
    },
  });
  const app = await inboxApp([source], { work: { roles: ["loader"] } });
  await app.becomes("flood", { status: "full", backlog: 50 });
  expect(asked).toBe(5);
  expect((await app.pawl.sources.why("flood")).line).toContain("50 events are in the inbox");
  await app.pawl.work({ roles: ["mover"] });
  await app.becomes("flood", { storedCount: 200, backlog: 0 });
  expect(await storedIds(app.pawl, "flood")).toHaveLength(200);
});

test("a stop undoes a batch that outlasts its grace, and the events are stored by who comes next", async () => {
  let slow: AbortSignal | undefined;
  const store: StoreHandler = async (batch, context) => {
    await writeEach(batch, context);
    if (slow !== undefined) return;
    const { signal } = context;
    slow = signal;
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
  };
  const source = numbers(3, store, ONE_BATCH);
  const app = await inboxApp([source], { work: false });
  await app.pawl.store.rows("create table effect (id text, place bigserial)");
  const first = await app.pawl.work();
  await until("a batch is being stored", () => slow !== undefined);
  await first.stop("50ms");
  expect(slow?.aborted).toBe(true);
  expect(await effects(app)).toEqual([]);
  // nothing is held against the source or its events
  expect(await app.source("numbers")).toMatchObject({ backlog: 3, storingError: null });
  await app.pawl.work();
  await app.becomes("numbers", { storedCount: 3, setAside: 0 });
  expect(await effects(app)).toEqual(["1", "2", "3"]);
});
