import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob } from "../../src/index.ts";
import type { Store } from "../../src/store/store.ts";
import { freshStore, rawClient } from "../support/database.ts";
import { allStreams, count, defineKinds, enqueueCount, enqueueSql } from "../support/kernel.ts";

let store: Store;

beforeAll(async () => {
  store = await freshStore();
  await defineKinds(store, { kinds: ["k", "other"] });
});

interface Row {
  id: string;
  kind: string;
  queue: string;
  priority: number;
  state: string;
}

async function rowsOf(ids: readonly string[]): Promise<Row[]> {
  return store.rows<Row>(
    `select t.id, st.kind, q.name as queue, s.priority, t.state
       from pawl.task t join pawl.shard s on s.id = t.shard_id
       join pawl.stream st on st.id = s.stream_id join pawl.queue q on q.id = st.queue_id
      where t.id = any ($1) order by t.id`,
    [ids],
  );
}

describe("pawl.enqueue", () => {
  test("one task needs no more than its kind", async () => {
    const [row] = await enqueueSql(store, [{ kind: "k" }]);
    expect(row?.outcome).toBe("created");
    expect(await rowsOf([row?.id ?? ""])).toEqual([
      { id: row?.id, kind: "k", queue: "q", priority: 1, state: "ready" },
    ]);
  });

  test("many tasks of several kinds and priorities get ids and numbers in their order, each where it belongs", async () => {
    const tasks = Array.from({ length: 500 }, (_, n) => ({
      kind: n % 3 === 0 ? "other" : "k",
      priority: n % 4,
      payload: { n },
      ref: `r${n}`,
    }));
    const ids = (await enqueueSql(store, tasks)).map((row) => row.id);
    const stored = await store.rows(
      "select id, payload, ref from pawl.task where id = any ($1) order by seq",
      [ids],
    );
    expect(stored).toEqual(tasks.map(({ payload, ref }, i) => ({ id: ids[i], payload, ref })));
    expect(ids.map(Number)).toEqual(ids.map(Number).toSorted((a, b) => a - b));
    expect(await rowsOf(ids)).toMatchObject(
      tasks.map(({ kind, priority }) => ({ kind, priority })),
    );
  });

  test("an empty array is nothing, and a future time waits", async () => {
    expect(await enqueueSql(store, [])).toEqual([]);
    const tasks = [
      { kind: "k", delay_ms: 60_000 },
      { kind: "k", run_at: "2999-01-01T00:00:00Z" },
      { kind: "k", run_at: "2000-01-01T00:00:00Z" },
    ];
    const rows = await rowsOf((await enqueueSql(store, tasks)).map((row) => row.id));
    expect(rows.map((row) => row.state)).toEqual(["scheduled", "scheduled", "ready"]);
  });

  test("R78: rolled back it leaves nothing, neither a task nor a stream", async () => {
    const before = [await count(store, "task"), (await allStreams(store)).length];
    const client = await rawClient(store.url);
    await client.query("begin");
    const tasks = [{ kind: "k" }, { kind: "never-seen", queue: "q" }, { kind: "k", priority: 3 }];
    const { rows } = await client.query("select * from pawl.enqueue($1)", [JSON.stringify(tasks)]);
    expect(rows).toHaveLength(3);
    await client.query("rollback");
    expect([await count(store, "task"), (await allStreams(store)).length]).toEqual(before);
  });

  test("two transactions that use a new kind for the first time at once make one stream", async () => {
    const [a, b] = [await rawClient(store.url), await rawClient(store.url)];
    const tasks = JSON.stringify([{ kind: "brand-new", queue: "q", priority: 2 }]);
    await a.query("begin");
    await a.query("select pawl.enqueue($1)", [tasks]);
    const second = b.query("select pawl.enqueue($1)", [tasks]);
    await a.query("commit");
    await second;
    const [made] = await store.rows(
      `select count(distinct st.id)::int as streams, count(distinct s.id)::int as shards, count(t.id)::int as tasks
         from pawl.stream st join pawl.shard s on s.stream_id = st.id left join pawl.task t on t.shard_id = s.id
        where st.kind = 'brand-new'`,
    );
    expect(made).toEqual({ streams: 1, shards: 4, tasks: 2 });
  });
});

describe("R112: what cannot be enqueued", () => {
  test.each([
    ["null instead of an array", null, "invalid_option", "JSON array"],
    ["an object", { kind: "k" }, "invalid_option", "got object"],
    ["a task without a kind", [{ payload: {} }], "invalid_option", "without a kind"],
    ["an empty kind", [{ kind: "" }], "invalid_option", "without a kind"],
    ["no object", [5], "invalid_option", "task no. 2 of the call: no object: 5"],
    ["priority 4", [{ kind: "k", priority: 4 }], "invalid_option", "`priority`"],
    ["priority -1", [{ kind: "k", priority: -1 }], "invalid_option", "got -1"],
    ["priority high", [{ kind: "k", priority: "high" }], "invalid_option", "got high"],
    ["version 0", [{ kind: "k", version: 0 }], "invalid_option", "`version`"],
    ["version 1.5", [{ kind: "k", version: 1.5 }], "invalid_option", "`version`"],
    ["an unknown kind", [{ kind: "nope" }], "unknown_kind", '"nope"'],
    ["an unknown queue", [{ kind: "k", queue: "nope" }], "unknown_queue", "known: q"],
  ])("%s is refused by name, with the good tasks beside it", async (_, tasks, code, text) => {
    const before = await count(store, "task");
    const all = Array.isArray(tasks) ? [{ kind: "k" }, ...tasks] : tasks;
    await expect(enqueueSql(store, all)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(text),
    });
    expect(await count(store, "task")).toBe(before);
  });

  test("R65: a kind that nobody knows waits when its queue is named", async () => {
    const [row] = await enqueueSql(store, [{ kind: "tomorrow", queue: "q" }]);
    expect(await rowsOf([row?.id ?? ""])).toMatchObject([{ kind: "tomorrow", state: "ready" }]);
    // and still nobody knows it: without its queue it is refused
    await expect(enqueueSql(store, [{ kind: "tomorrow" }])).rejects.toMatchObject({
      code: "unknown_kind",
    });
  });

  test("a payload above the limit is refused by its place and size; one at the limit passes", async () => {
    const text = (bytes: number) => "x".repeat(bytes - 2); // and two quotes
    const before = await count(store, "task");
    await enqueueSql(store, [{ kind: "k", payload: text(1_048_576) }]);
    await expect(
      enqueueSql(store, [{ kind: "k" }, { kind: "k", payload: text(1_048_577) }]),
    ).rejects.toMatchObject({
      code: "payload_too_large",
      message: expect.stringContaining(
        "payload of task no. 2 of the call is 1048577 bytes, the limit is 1048576",
      ),
    });
    expect(await count(store, "task")).toBe(before + 1);
  });
});

describe("an app's definitions", () => {
  test("R52: high, normal and low are there without being named, and further queues by name", async () => {
    const other = await freshStore();
    const job = defineJob({ name: "job", queue: "mail", input: z.unknown(), run: () => undefined });
    const pawl = await connect(defineApp({ queues: { mail: {} }, jobs: [job] }), {
      databaseUrl: other.url,
      log: silentLogger,
    });
    await pawl.enqueue(job, 1);
    const ready = (await pawl.stats()).queues.map((row) => [row.queue, row.ready]);
    expect(Object.fromEntries(ready)).toEqual({ high: 0, low: 0, mail: 1, normal: 0 });
    await pawl.close();
  });

  test("an older revision never overwrites a newer definition", async () => {
    const other = await freshStore();
    const start = async (revision: number, attempts: number) => {
      const queues = { mail: { retry: { attempts } } };
      const app = defineApp({ revision, queues });
      const pawl = await connect(app, { databaseUrl: other.url, log: silentLogger });
      await pawl.close();
    };
    await start(2, 7);
    await start(1, 3);
    const [queue] = await other.rows(
      "select revision, retry ->> 'attempts' as attempts from pawl.queue where name = 'mail'",
    );
    expect(queue).toEqual({ revision: 2, attempts: "7" });
  });

  test("many apps that register at once do not deadlock", async () => {
    const other = await freshStore({ max: 8 });
    const kinds = Array.from({ length: 20 }, (_, i) => `kind${i}`);
    await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        defineKinds(other, { kinds: i % 2 === 0 ? kinds : kinds.toReversed() }),
      ),
    );
    expect(await allStreams(other)).toHaveLength(20);
    expect(await enqueueCount(other, 1).catch((error: { code: string }) => error.code)).toBe(
      "unknown_kind",
    );
  });
});
