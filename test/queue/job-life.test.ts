import { describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import {
  connect,
  defineApp,
  defineJob,
  type EnqueueOptions,
  type Pawl,
  RetryAfter,
  Snooze,
  type TaskContext,
} from "../../src/index.ts";
import { attemptsOf, type TaskDetail } from "../../src/kernel/operator/sql.ts";
import { expire, sortLanes } from "../../src/kernel/sql.ts";
import { movableClock } from "../support/clock.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

type Run = (context: TaskContext, n: number) => unknown;

interface Bench {
  pawl: Pawl;
  enqueue: (options?: EnqueueOptions & { n?: number }) => Promise<string>;
  comes: (id: string, state: string) => Promise<TaskDetail>;
  /** Outcomes of the attempts before the last one. */
  attemptsBefore: (id: string) => Promise<string[]>;
}

/** An app with one job; no worker yet. */
async function bench(run: Run, options: { timeout?: string; lane?: string } = {}): Promise<Bench> {
  const { timeout = "5m", lane } = options;
  const { url } = await freshDatabase({ longLeases: true });
  const job = defineJob({
    name: "job",
    input: z.object({ n: z.number() }),
    timeout,
    lane: () => lane,
    retry: { attempts: 3, delays: ["10ms"], jitter: 0 },
    run: ({ n }, context) => run(context, n),
  });
  const pawl = await connect(defineApp({ jobs: [job] }), { databaseUrl: url, log: silentLogger });
  onTestFinished(() => pawl.close());
  return {
    pawl,
    enqueue: async ({ n = 0, ...more } = {}) => (await pawl.enqueue(job, { n }, more)).id,
    comes: (id, state) =>
      until(`task ${id} is ${state}`, async () => {
        const task = await pawl.task(id);
        return task?.state === state && task;
      }),
    attemptsBefore: async (id) => (await attemptsOf(pawl.store, id)).map((row) => row.outcome),
  };
}

/** Ends when the signal aborts, with its reason. */
function aborted({ signal }: TaskContext): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason));
  });
}

describe("R72: a job", () => {
  test("that overruns its timeout hears it through its signal, and the try counts as a timeout", async () => {
    const heard: unknown[] = [];
    const { pawl, enqueue, comes, attemptsBefore } = await bench(
      async (context) => {
        if (context.attempt === 3) return "in time";
        return aborted(context).catch((reason) => heard.push(reason.code));
      },
      { timeout: "100ms" },
    );
    await pawl.work();
    const id = await enqueue();
    expect(await comes(id, "done")).toMatchObject({ attempt: 3, result: "in time" });
    expect(heard).toEqual(["handler_timeout", "handler_timeout"]);
    expect(await attemptsBefore(id)).toEqual(["timeout", "timeout"]);
  });

  test("that waits, or is scheduled, is cancelled at once and never runs", async () => {
    const ran: number[] = [];
    const { pawl, enqueue, comes } = await bench((_, n) => ran.push(n));
    const [ready, scheduled] = [await enqueue({ n: 1 }), await enqueue({ n: 2, delay: "1h" })];
    for (const id of [ready, scheduled])
      expect(await pawl.cancel(id, { by: "ada", why: "sold out" })).toBe("cancelled");
    expect(await pawl.cancel(ready)).toBe("not_live");
    const other = await enqueue({ n: 3 });
    await pawl.work();
    await comes(other, "done");
    expect(ran).toEqual([3]);
    const cancelled = await comes(ready, "cancelled");
    expect(cancelled).toMatchObject({ attempt: 0, startedAt: null });
    expect(cancelled.error?.message).toBe("cancelled by ada: sold out");
  });

  test("that runs is asked to end: cancelled when it gives up, done when it still ends well", async () => {
    let begun = 0;
    const { pawl, enqueue, comes, attemptsBefore } = await bench(async (context, n) => {
      begun += 1;
      const reason = await aborted(context).catch((error) => error);
      if (n === 1) throw reason;
      if (n === 2) throw new RetryAfter("1s");
      return reason.code;
    });
    await pawl.work();
    const ids = [await enqueue({ n: 1 }), await enqueue({ n: 2 }), await enqueue({ n: 3 })];
    await until("they run", () => begun === 3);
    for (const id of ids) expect(await pawl.cancel(id)).toBe("requested");
    const [givesUp = "", retries = "", endsWell = ""] = ids;
    expect(await comes(givesUp, "cancelled")).toMatchObject({ attempt: 1 });
    await comes(retries, "cancelled");
    expect(await comes(endsWell, "done")).toMatchObject({ result: "task_cancelled" });
    for (const id of ids) expect(await attemptsBefore(id)).toEqual([]);
  });

  test("that ignores its cancellation and fails is not tried again", async () => {
    let fail: ((error: Error) => void) | undefined;
    const { pawl, enqueue, comes } = await bench(
      () =>
        new Promise((_, reject) => {
          fail = reject;
        }),
    );
    await pawl.work();
    const id = await enqueue();
    await until("it runs", () => fail !== undefined);
    await pawl.cancel(id);
    fail?.(new Error("too late"));
    expect(await comes(id, "cancelled")).toMatchObject({ attempt: 1 });
  });

  test("tells its progress while it runs, and its result when it has ended", async () => {
    let go: (() => void) | undefined;
    const { pawl, enqueue, comes } = await bench(async ({ progress }) => {
      for (let done = 1; done <= 100; done += 1) progress({ done, total: 100 });
      await new Promise<void>((resolve) => {
        go = resolve;
      });
      return { sent: 100 };
    });
    await pawl.work();
    const id = await enqueue();
    const said = await until("its progress is shown", async () => {
      const task = await pawl.task(id);
      return task?.progress !== null && task?.progress;
    });
    expect(said).toEqual({ done: 100, total: 100 }); // its last word
    go?.();
    expect(await comes(id, "done")).toMatchObject({ result: { sent: 100 } });
  });

  test("that snoozes runs again later and has used up no attempt", async () => {
    const times: number[] = [];
    const { pawl, enqueue, comes, attemptsBefore } = await bench(({ attempt }) => {
      times.push(attempt);
      if (times.length < 4) throw new Snooze("30ms");
    });
    await pawl.work();
    const id = await enqueue({ maxAttempts: 1 });
    expect(await comes(id, "done")).toMatchObject({ attempt: 1, error: null });
    expect(times).toEqual([1, 1, 1, 1]);
    expect(await attemptsBefore(id)).toEqual(["snooze", "snooze", "snooze"]);
  });
});

describe("a task past its expiry", () => {
  test("that nobody claimed is swept, in a lane too, where the next one then goes on", async () => {
    const ran: number[] = [];
    const { pawl, enqueue, comes } = await bench((_, n) => ran.push(n), { lane: "a" });
    const clock = await movableClock(pawl.store, { isSlow: true });
    const late = [
      await enqueue({ n: 1, expiresIn: "1m" }),
      await enqueue({ n: 2, expiresIn: "1m", delay: "30s" }),
    ];
    const next = await enqueue({ n: 3, expiresIn: "1h" });
    await sortLanes(pawl.store, 100);
    await clock.advance(30_000);
    expect(await expire(pawl.store, 100)).toBe(0);
    await clock.advance(31_000);
    expect(await expire(pawl.store, 100)).toBe(2);
    for (const id of late) expect(await comes(id, "expired")).toMatchObject({ attempt: 0 });
    await pawl.work();
    await comes(next, "done");
    expect(ran).toEqual([3]);
  });

  test("is not started by a worker that claims it before the sweep comes by", async () => {
    const ran: number[] = [];
    const { pawl, enqueue, comes } = await bench((_, n) => ran.push(n));
    await pawl.store.rows(
      "create or replace function pawl.expire_v1(p_limit int) returns int language sql as 'select 0'",
    );
    const clock = await movableClock(pawl.store);
    const late = await enqueue({ n: 1, expiresIn: "1m" });
    const inTime = await enqueue({ n: 2, expiresIn: "10m" });
    await clock.advance(60_000);
    await pawl.work();
    await comes(inTime, "done");
    expect(await comes(late, "expired")).toMatchObject({ attempt: 0 });
    expect(ran).toEqual([2]);
  });

  test("that runs already ends as it ends; one whose next try would come later expires at once", async () => {
    const ended: number[] = [];
    const { pawl, enqueue, comes } = await bench(async (_, n) => {
      if (n === 2) throw new RetryAfter("1h");
      await until("its expiry has passed", () => ended.length > 0);
      return "well";
    });
    await pawl.work();
    const slow = await enqueue({ n: 1, expiresIn: "30m" });
    await comes(slow, "running");
    const failing = await enqueue({ n: 2, expiresIn: "30m" });
    expect(await comes(failing, "expired")).toMatchObject({ attempt: 1 });
    await pawl.store.rows("update pawl.task set expires_at = pawl.now() where id = $1", [slow]);
    expect(await expire(pawl.store, 100)).toBe(0);
    ended.push(1);
    expect(await comes(slow, "done")).toMatchObject({ result: "well" });
  });
});

describe("a waiting task", () => {
  test("runs sooner, later, or before others when it is moved", async () => {
    const ran: number[] = [];
    const { pawl, enqueue, comes } = await bench((_, n) => ran.push(n));
    const first = await enqueue({ n: 1 });
    const second = await enqueue({ n: 2 });
    const later = await enqueue({ n: 3 });
    const sooner = await enqueue({ n: 4, delay: "1h" });
    expect(await pawl.reschedule(second, { priority: 0 })).toBe("changed");
    expect(await pawl.reschedule(later, { delay: "1h", by: "ada", why: "not today" })).toBe(
      "changed",
    );
    expect(await pawl.reschedule(sooner, { runAt: new Date(), priority: 3 })).toBe("changed");
    await until("the first use of each priority is known", async () => {
      const [row] = await pawl.store.rows<{ used: number }>("select pawl.use_shards_v1() as used");
      return row?.used === 0;
    });
    await pawl.work({ concurrency: 1 });
    for (const id of [first, second, sooner]) await comes(id, "done");
    expect(ran).toEqual([2, 1, 4]);
    const moved = await comes(later, "scheduled");
    expect(Number(moved.runAt) - Date.now()).toBeGreaterThan(3_000_000);
  });

  test("can be moved no more once it runs or has ended", async () => {
    let go: (() => void) | undefined;
    const { pawl, enqueue, comes } = await bench(
      () =>
        new Promise<void>((resolve) => {
          go = resolve;
        }),
    );
    const id = await enqueue();
    await pawl.work();
    await until("it runs", () => go !== undefined);
    expect(await pawl.reschedule(id, { delay: "1h" })).toBe("running");
    go?.();
    await comes(id, "done");
    expect(await pawl.reschedule(id, { delay: "1h" })).toBe("not_live");
  });
});
