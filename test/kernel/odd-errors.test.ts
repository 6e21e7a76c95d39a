import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob, type Pawl, type RunningWorker } from "../../src/index.ts";
import { failure, type Outcome } from "../../src/kernel/outcome.ts";
import { runTask } from "../../src/kernel/run.ts";
import { type Dropped, settleAndClaim } from "../../src/kernel/turn.ts";
import { freshDatabase, freshStore } from "../support/database.ts";
import { HOSTILE } from "../support/hostile.ts";
import { claimed, defineKinds, enqueueCount, newWorker, sendTurn } from "../support/kernel.ts";
import { until } from "../support/until.ts";

/** Takes any payload. `issues` is what a validator of somebody's own may answer. */
function schema(validate: (value: unknown) => unknown = (value) => ({ value })) {
  return { "~standard": { version: 1, vendor: "test", validate } } as never;
}

const boom = (): never => {
  throw new Error("a trap");
};
const throws = defineJob({
  name: "throws",
  input: schema(),
  retry: { attempts: 1 },
  run: (n: number) => {
    throw HOSTILE[n]?.[1]();
  },
});
const rejects = defineJob({
  name: "rejects",
  input: schema(),
  retry: { attempts: 1 },
  run: (n: number) => Promise.reject(HOSTILE[n]?.[1]() as Error),
});
const RESULTS: (() => unknown)[] = [
  () => ({ toJSON: boom }),
  () => ({
    get field() {
      return boom();
    },
  }),
  () => [
    new Proxy({}, { get: (_, name) => (name === "then" ? undefined : boom()), ownKeys: boom }),
  ],
  () => Symbol("result"),
];
const answers = defineJob({
  name: "answers",
  input: schema(),
  retry: { attempts: 1 },
  run: (n: number) => RESULTS[n]?.(),
});
const ISSUES: unknown[] = [
  [{ message: { not: "text" }, path: [{ key: Symbol("k") }, 3] }],
  [{ message: "m", path: [{ toString: boom }] }],
  [Object.create(null), null, 5],
  {
    length: 2,
    0: {
      get message() {
        return boom();
      },
    },
  },
  "all wrong",
  Array.from({ length: 100_000 }, (_, n) => ({ message: "m".repeat(1_000), path: [n] })),
];
const validated = defineJob({
  name: "validated",
  input: schema((n) => ({ issues: ISSUES[n as number] })),
  run: () => "never runs",
});
const unjudged = defineJob({
  name: "unjudged",
  input: schema(() => undefined),
  retry: { attempts: 1 },
  run: () => "never runs",
});

let pawl: Pawl;
let worker: RunningWorker;

beforeAll(async () => {
  const jobs = [throws, rejects, answers, validated, unjudged];
  const app = defineApp({ name: "odd", jobs });
  pawl = await connect(app, {
    databaseUrl: (await freshDatabase({ longLeases: true })).url,
    migrate: true,
    log: { ...silentLogger, warn: boom, error: boom },
  });
  worker = await pawl.work();
});

afterAll(async () => {
  await worker.stop();
  await pawl.close();
});

interface Dead {
  id: string;
  kind: string;
  payload: number;
  reason: string;
  error: { name: string; message: string };
}

async function ended(count: number): Promise<Dead[]> {
  const rows = () =>
    pawl.store.rows<Dead>(
      `select d.id, st.kind, d.payload, d.reason, d.error from pawl.dead d
         join pawl.stream st on st.id = d.stream_id order by d.id`,
    );
  await until("all have ended", async () => (await rows()).length >= count);
  return rows();
}

describe("R113: a worker whose handlers throw and answer what nobody expects", () => {
  test("records each, readable, and runs the next", async () => {
    const count = HOSTILE.length;
    for (const [n] of HOSTILE.entries()) {
      await pawl.enqueue(throws, n as never);
      await pawl.enqueue(rejects, n as never);
    }
    // through SQL: the typed API validates before it writes
    const odd = [...ISSUES.keys()].map((n) => ({ kind: "validated", payload: n }));
    const tasks = [...odd, { kind: "unjudged", payload: 0 }];
    await pawl.store.rows("select pawl.enqueue($1)", [JSON.stringify(tasks)]);
    const dead = await ended(2 * count + ISSUES.length + 1);
    for (const { kind, payload, error } of dead.slice(0, 2 * count))
      expect(`${kind} ${error.message}`).toContain(HOSTILE[payload]?.[2]);
    expect(dead.filter((row) => row.kind === "validated").map((row) => row.reason)).toEqual(
      ISSUES.map(() => "invalid"),
    );
    expect(dead.find((row) => row.kind === "unjudged")?.error.message).toContain(
      "`validate` returned undefined",
    );
    expect(worker.running).toBe(0);
  });

  test("keeps the work of those whose result cannot be stored", async () => {
    const ids: string[] = [];
    for (const [n] of RESULTS.entries()) ids.push((await pawl.enqueue(answers, n as never)).id);
    const done = () =>
      pawl.store.rows<{ result: unknown }>(
        "select result from pawl.finished where id = any ($1) and outcome = 'done' order by id",
        [ids],
      );
    await until("all are done", async () => (await done()).length === ids.length);
    const [first, second, third, symbol] = (await done()).map((row) => row.result);
    for (const one of [first, second, third]) expect(one).toHaveProperty("$notStored");
    expect(symbol).toBeNull();
  });
});

test("R113: an attempt ends exactly once, even where its end cannot be told", async () => {
  const lines: object[] = [];
  const log = { ...silentLogger, error: (data: object) => lines.push(data) };
  const ends: Outcome[] = [];
  const row = { id: "7", seq: "1", attempt: 0, payload: null } as never;
  for (const [, make] of HOSTILE) {
    await new Promise<void>((resolve) => {
      const handler = { queue: "q", kind: "k", version: 1, timeoutMs: 60_000 };
      runTask(
        claimed(row, 1),
        { ...handler, run: () => Promise.reject(make() as Error) },
        {
          log,
          resultBytesMax: 100,
          transactions: {} as never,
          progressed: () => undefined,
          mayGoOn: () => true,
          quietMs: () => 0,
          leftMs: () => Number.POSITIVE_INFINITY,
          ended: (_, outcome) => {
            ends.push(outcome);
            resolve();
            throw make();
          },
        },
      );
    });
  }
  expect(ends).toHaveLength(HOSTILE.length);
  expect(lines).toHaveLength(HOSTILE.length);
});

describe("R113: an outcome that the database refuses", () => {
  test("stands alone, and is recorded in a form that it takes; its neighbours end as they did", async () => {
    const store = await freshStore();
    await defineKinds(store);
    await enqueueCount(store, 30);
    const worker = await newWorker(store);
    const rows = await sendTurn(store, { worker, claim: 1, limit: 30 });
    const odd = (n: number, more: object) => {
      const row = rows[n];
      if (row === undefined) throw new Error("no such row");
      return { ...failure(claimed(row, 1), new Error("as it was")), ...more } as Outcome;
    };
    const outcomes = rows.map(
      (row) => ({ ok: true, task: claimed(row, 1), result: null }) as Outcome,
    );
    outcomes[3] = odd(3, { delayMs: 1_790_000_000_000_000_000 });
    outcomes[4] = odd(4, { delayMs: 1e300 });
    outcomes[5] = odd(5, { delayMs: 1.5 });
    outcomes[6] = odd(6, { delayMsMin: 9_000_000_000_000_000 });
    outcomes[7] = odd(7, { kind: "snooze", error: null, delayMs: 1e17 });
    outcomes[8] = odd(8, { kind: "recoverable", delayMs: "soon" });
    const request = { worker, outcomes, gone: [1], claim: 2, limit: 0, solo: true, shards: [] };
    expect(await settleAndClaim(store, request)).toEqual([]);
    expect(
      await store.rows(
        "select id from pawl.task where state = 'scheduled' or attempt > 0 order by id",
      ),
    ).toEqual(rows.slice(3, 9).map(({ id }) => ({ id })));
    expect(await store.rows("select count(*)::int from pawl.finished")).toEqual([{ count: 24 }]);
    expect(await store.rows("select * from pawl.claim")).toEqual([]);
    await store.close();
  });

  test("for a reason of its own becomes a dead letter, or stays in its claim: it is not sent for ever", async () => {
    const store = await freshStore();
    await defineKinds(store);
    await enqueueCount(store, 3);
    const worker = await newWorker(store);
    const rows = await sendTurn(store, { worker, claim: 1, limit: 3 });
    const [retried, stuck] = rows;
    await store.rows(`create function public.refuse() returns trigger language plpgsql as $$
      begin raise exception 'a rule of somebody''s own'; end $$`);
    for (const [table, id] of [
      ["finished", retried?.id],
      ["attempt", retried?.id],
      ["finished", stuck?.id],
      ["dead", stuck?.id],
    ]) {
      const column = table === "attempt" ? "task_id" : "id";
      await store.rows(`create trigger refuse_${table}_${id} before insert on pawl.${table} for each row
        when (new.${column} = ${id}) execute function public.refuse()`);
    }
    const outcomes = rows.map(
      (row) => ({ ok: true, task: claimed(row, 1), result: null }) as Outcome,
    );
    const dropped: Dropped = new Map();
    const request = {
      worker,
      outcomes,
      gone: [1],
      claim: 2,
      limit: 0,
      solo: true,
      shards: [],
      dropped,
    };
    expect(await settleAndClaim(store, request)).toEqual([]);
    expect(Array.from(dropped.keys(), ({ task }) => task.id)).toEqual([stuck?.id]);
    expect(await store.rows("select id, error ->> 'message' as message from pawl.dead")).toEqual([
      { id: retried?.id, message: expect.stringContaining("a rule of somebody's own") },
    ]);
    expect(await store.rows("select id from pawl.finished")).toEqual([{ id: rows[2]?.id }]);
    // it still names the task that could not be recorded
    expect(await store.rows("select no::int from pawl.claim")).toEqual([{ no: 1 }]);
    await store.close();
  });
});
