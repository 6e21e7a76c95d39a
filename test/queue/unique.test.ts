import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import {
  connect,
  defineApp,
  defineJob,
  type Pawl,
  type RunningWorker,
  Unrecoverable,
} from "../../src/index.ts";
import { removeDead, retryDead } from "../../src/kernel/operator/dead/sql.ts";
import { forgetKeys } from "../../src/kernel/operator/history/sql.ts";
import { movableClock } from "../support/clock.ts";
import { freshDatabase, rawClient } from "../support/database.ts";
import { keepFromPruning } from "../support/kernel.ts";
import { until } from "../support/until.ts";

const OPERATOR = { by: "ada", why: "test" };
const MINUTE_MS = 60_000;

let pawl: Pawl;
let clock: Awaited<ReturnType<typeof movableClock>>;
/** How the next attempt of a task goes; set by the tests. */
let next: (n: number) => unknown = () => undefined;
const ran: number[] = [];

const options = {
  input: z.object({ account: z.string(), n: z.number(), lane: z.string().optional() }),
  retry: { attempts: 2, delays: ["1h" as const], jitter: 0 },
  key: ({ account }: { account: string }) => account,
  lane: ({ lane }: { lane?: string | undefined }) => lane,
  run: async ({ n }: { n: number }) => {
    ran.push(n);
    return next(n);
  },
};
const once = defineJob({ ...options, name: "once", unique: { for: "10m" } });
const newest = defineJob({ ...options, name: "newest", unique: { replace: true } });
const quiet = defineJob({ ...options, name: "quiet", unique: { debounce: "5s", max: "12s" } });
const plain = defineJob({ ...options, name: "plain" });
const JOBS = [once, newest, quiet, plain];
type One = (typeof JOBS)[number];

/** Of each test its own. */
let account = "0";

beforeAll(async () => {
  const { url } = await freshDatabase({ longLeases: true });
  pawl = await connect(defineApp({ jobs: JOBS }), { databaseUrl: url, log: silentLogger });
  clock = await movableClock(pawl.store, { isSlow: true });
  await keepFromPruning(pawl.store);
});
afterAll(() => pawl.close());
beforeEach(async () => {
  account = String(Number(account) + 1);
  next = () => undefined;
  ran.length = 0;
  await pawl.store.rows("delete from pawl.task");
});

const put = (job: One, n: number, more: object = {}) => pawl.enqueue(job, { account, n }, more);

async function worker(limit = 1_000): Promise<RunningWorker> {
  const one = await pawl.work({ limit });
  onTestFinished(() => one.stop().then(() => undefined));
  return one;
}

function comes(id: string, state: string) {
  return until(`task ${id} is ${state}`, async () => {
    const task = await pawl.task(id);
    return task?.state === state && task;
  });
}

/** A handler that runs until it is let go. */
function held(): { begun: Promise<void>; release: () => void; fail: (error: Error) => void } {
  let begin = (): void => undefined;
  let release = (): void => undefined;
  let fail: (error: Error) => void = () => undefined;
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const end = new Promise<void>((resolve, reject) => {
    release = resolve;
    fail = reject;
  });
  next = () => {
    begin();
    return end;
  };
  return { begun, release: () => release(), fail: (error) => fail(error) };
}

describe("unique for a time", () => {
  test("R70b: waiting, and once it was done, another one is a duplicate until the time is over; then the key is free", async () => {
    const first = await put(once, 1);
    const duplicate = { id: first.id, outcome: "duplicate" };
    expect(first.outcome).toBe("created");
    expect(await put(once, 2)).toEqual(duplicate);
    const one = await worker();
    await comes(first.id, "done");
    expect(await put(once, 3)).toEqual(duplicate);
    expect(
      await pawl.enqueueMany(
        once,
        [4, 5].map((n) => ({ account, n })),
      ),
    ).toEqual([duplicate, duplicate]);
    // who does not ask for the time does not get it
    const other = await pawl.enqueue(plain, { account, n: 6 }, { key: `${account} too` });
    expect(other.outcome).toBe("created");
    await clock.advance(11 * MINUTE_MS);
    const second = await put(once, 7);
    expect(second.outcome).toBe("created");
    await comes(second.id, "done");
    expect(await put(once, 8)).toEqual({ id: second.id, outcome: "duplicate" });
    expect(ran.toSorted((a, b) => a - b)).toEqual([1, 6, 7]);
    await one.stop();
  });

  test("R70b: what was cancelled or died gives the key back; a dead letter whose key was taken stays dead, and is free again later", async () => {
    const cancelled = await put(once, 1);
    await pawl.cancel(cancelled.id);
    const dying = await put(once, 2);
    expect(dying.outcome).toBe("created");
    next = () => {
      throw new Unrecoverable("no");
    };
    await worker(1);
    await comes(dying.id, "dead");
    const taker = await put(once, 3, { delay: "1h" });
    expect(taker.outcome).toBe("created");
    expect(await put(once, 4)).toEqual({ id: taker.id, outcome: "duplicate" });
    expect(await retryDead(pawl.store, [dying.id], OPERATOR)).toEqual([
      { id: dying.id, outcome: "duplicate" },
    ]);
    await pawl.cancel(taker.id);
    // a person's retry goes before the time
    expect(await retryDead(pawl.store, [dying.id], OPERATOR)).toEqual([
      { id: dying.id, outcome: "retried" },
    ]);
    next = () => undefined;
    await worker(1);
    await comes(dying.id, "done");
  });

  test("R70b: of a task that retention has removed the key is kept until its time, and forgotten after it", async () => {
    const { id } = await put(once, 1);
    await worker(1);
    await comes(id, "done");
    await pawl.store.rows("delete from pawl.finished where id = $1", [id]);
    expect(await put(once, 2)).toEqual({ id, outcome: "duplicate" });
    expect(await forgetKeys(pawl.store, 1_000)).toBe(0);
    await clock.advance(11 * MINUTE_MS);
    expect(await forgetKeys(pawl.store, 1)).toBe(1);
    while ((await forgetKeys(pawl.store, 1_000)) > 0);
    expect((await put(once, 3)).outcome).toBe("created");
  });

  test("R70b: duplicates do not prolong the time, and do not make one for a task that did not ask for it", async () => {
    const delayed = await put(once, 1, { delay: "15m" });
    await clock.advance(11 * MINUTE_MS); // the time is over, the task lives
    expect(await put(once, 2)).toEqual({ id: delayed.id, outcome: "duplicate" });
    await pawl.reschedule(delayed.id, { delay: 0 });
    const one = await worker();
    await comes(delayed.id, "done");
    const second = await put(once, 3);
    expect(second.outcome).toBe("created");
    await comes(second.id, "done");

    const forTime = { unique: { for: "10m" } } as const;
    const asked = await put(plain, 4, { delay: "1h" });
    expect(await put(plain, 5, forTime)).toEqual({ id: asked.id, outcome: "duplicate" });
    await pawl.reschedule(asked.id, { delay: 0 });
    await comes(asked.id, "done");
    expect((await put(plain, 6, forTime)).outcome).toBe("created");
    await one.stop();
  });
});

describe("replace", () => {
  test("R70b: one that waits for its time keeps its id and gets the new input, time and attempts", async () => {
    const first = await put(newest, 1, { delay: "1h", meta: { from: 1 } });
    expect(await put(newest, 2, { delay: "2h", priority: 3 })).toEqual({
      id: first.id,
      outcome: "replaced",
    });
    expect(await pawl.task(first.id)).toMatchObject({
      payload: { account, n: 2 },
      priority: 3,
      state: "scheduled",
    });
    expect(await put(newest, 3)).toEqual({ id: first.id, outcome: "replaced" });
    next = () => Promise.reject(new Error("try later"));
    const one = await worker(1);
    await until(
      "it failed",
      async () => (await pawl.task(first.id))?.error?.message === "try later",
    );
    await one.stopped;
    expect(await put(newest, 4)).toEqual({ id: first.id, outcome: "replaced" });
    next = () => undefined;
    await worker(1);
    await comes(first.id, "done");
    expect(ran).toEqual([3, 4]);
  });

  test("R70b: one that is ready is never started, and says by what it was replaced; many at once leave the last", async () => {
    const answers = [await put(newest, 1), await put(newest, 2)];
    expect(answers.map(({ outcome }) => outcome)).toEqual(["created", "replaced"]);
    const many = await pawl.enqueueMany(
      newest,
      [3, 4, 5].map((n) => ({ account, n })),
    );
    await worker();
    const last = many.at(-1)?.id ?? "";
    await comes(last, "done");
    expect(ran).toEqual([5]);
    const gone = await comes(answers[0]?.id ?? "", "expired");
    expect(gone.error?.message).toBe(`replaced by task ${answers[1]?.id}`);
  });

  test.each(["release", "fail"] as const)(
    "R70b: one that runs goes on, and after its end (%s) only the newer runs",
    async (end) => {
      const handler = held();
      const first = await put(newest, 1);
      await worker();
      await handler.begun;
      const second = await put(newest, 2, { delay: "1h" });
      expect(second.outcome).toBe("replaced");
      expect(second.id).not.toBe(first.id);
      expect(await put(newest, 3, { delay: "1h" })).toEqual({ id: second.id, outcome: "replaced" });
      handler[end](new Error("no"));
      await comes(first.id, end === "release" ? "done" : "expired");
      next = () => undefined;
      await pawl.reschedule(second.id, { delay: 0 });
      await comes(second.id, "done");
      expect(ran).toEqual([1, 3]);
    },
  );

  test("R70b: one that waits in a lane keeps its place, with the new input", async () => {
    const lane = `lane ${account}`;
    const enqueue = (n: number) =>
      pawl.enqueue(newest, { account: `${account}-${n % 10}`, n, lane });
    const ids = [await enqueue(1), await enqueue(2), await enqueue(3)].map(({ id }) => id);
    expect(await enqueue(12)).toEqual({ id: ids[1], outcome: "replaced" });
    await worker();
    await comes(ids[2] ?? "", "done");
    expect(ran).toEqual([1, 12, 3]);
  });

  test("R70b: a dead letter gives its key up, and is retried only while no newer one lives", async () => {
    next = () => {
      throw new Unrecoverable("no");
    };
    const dead = await put(newest, 1);
    await worker(1);
    await comes(dead.id, "dead");
    const newer = await put(newest, 2, { delay: "1h" });
    expect(newer.outcome).toBe("created");
    expect(await retryDead(pawl.store, [dead.id], OPERATOR)).toEqual([
      { id: dead.id, outcome: "duplicate" },
    ]);
    await removeDead(pawl.store, [dead.id], OPERATOR);
  });
});

describe("debounce", () => {
  const runAt = async (id: string) => (await pawl.task(id))?.runAt?.getTime() ?? 0;

  test("R70b: each call puts it off, to the maximum after the first; it runs once, with the last input", async () => {
    const first = await put(quiet, 1);
    expect(first.outcome).toBe("created");
    const began = await runAt(first.id);
    for (const [i, afterMs] of [4_000, 8_000, 12_000].entries()) {
      await clock.advance(4_000);
      expect(await put(quiet, i + 2)).toEqual({ id: first.id, outcome: "debounced" });
      const expected = began + Math.min(afterMs, 7_000);
      expect(Math.abs((await runAt(first.id)) - expected)).toBeLessThan(1_000);
    }
    await worker();
    await comes(first.id, "done");
    expect(ran).toEqual([4]);
  });

  test("R70b: what comes once it was due, or while it runs, begins a new wait and is lost in no case", async () => {
    const handler = held();
    const first = await put(quiet, 1);
    await clock.advance(6_000);
    await worker();
    await handler.begun;
    const second = await put(quiet, 2);
    expect(second).toEqual({
      id: expect.not.stringMatching(new RegExp(`^${first.id}$`)),
      outcome: "created",
    });
    expect(await put(quiet, 3)).toEqual({ id: second.id, outcome: "debounced" });
    handler.release();
    await comes(first.id, "done");
    next = () => undefined;
    await clock.advance(6_000);
    await comes(second.id, "done");
    expect(ran).toEqual([1, 3]);
  });
});

describe("two transactions with one key", () => {
  const cases = [
    { job: once, again: "duplicate", isSame: true },
    { job: newest, again: "replaced", isSame: false },
    { job: quiet, again: "debounced", isSame: true },
  ];
  const waits = cases.flatMap((one) => [
    { ...one, name: one.job.name, end: "commit", outcome: one.again },
    { ...one, name: one.job.name, end: "rollback", outcome: "created" },
  ]);
  test.each(waits)(
    "R70b: $name: the second waits for the first's $end and answers $outcome",
    async ({ job, end, outcome, isSame }) => {
      const client = await rawClient(pawl.store.url);
      await client.query("begin");
      const first = await pawl.enqueue(job, { account, n: 1 }, { tx: client });
      const second = put(job, 2);
      await untilOneWaits();
      await client.query(end);
      const answer = await second;
      expect(answer.outcome).toBe(outcome);
      expect(answer.id === first.id).toBe(end === "commit" && isSame);
    },
  );

  test.each([newest, quiet])(
    "R70b: $name: a change that is rolled back leaves what waited, and a later one waits for it",
    async (job) => {
      const { id } = await put(job, 1, job === newest ? { delay: "1h" } : {});
      const client = await rawClient(pawl.store.url);
      await client.query("begin");
      await pawl.enqueue(job, { account, n: 2 }, { tx: client });
      const third = put(job, 3, job === newest ? { delay: "1h" } : {});
      await untilOneWaits();
      await client.query("rollback");
      expect((await third).id).toBe(id);
      expect(await pawl.task(id)).toMatchObject({ payload: { n: 3 } });
    },
  );

  test("R70b: what is claimed while a transaction replaces it runs to its end, and the newer runs after the commit", async () => {
    const handler = held();
    const first = await put(newest, 1);
    const client = await rawClient(pawl.store.url);
    await client.query("begin");
    const second = await pawl.enqueue(newest, { account, n: 2 }, { tx: client });
    expect(second.outcome).toBe("replaced");
    await worker(); // sees what was there before
    await handler.begun;
    handler.release();
    next = () => undefined;
    await client.query("commit");
    await comes(first.id, "done");
    await comes(second.id, "done");
    expect(ran).toEqual([1, 2]);
  });

  test("R70b: many keys in opposite orders do not deadlock", async () => {
    const keys = Array.from({ length: 20 }, (_, n) => ({ account: `${account}-${n}`, n }));
    for (const job of [once, newest, quiet]) {
      const calls = [keys, keys.toReversed(), keys, keys.toReversed()];
      const answers = (
        await Promise.all(calls.map((inputs) => pawl.enqueueMany(job, inputs)))
      ).flat();
      expect(answers.filter(({ outcome }) => outcome === "created")).toHaveLength(20);
    }
  });
});

async function untilOneWaits(): Promise<void> {
  await until("the second waits", async () => {
    const rows = await pawl.store.rows(
      "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
    );
    return rows.length > 0;
  });
}
