import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob, defineSource, type Pawl } from "../../src/index.ts";
import { freshDatabase } from "../support/database.ts";
import { databaseProxy } from "../support/database-proxy.ts";
import { fleet } from "../support/fleet.ts";
import { upTo } from "../support/inbox-app.ts";
import { count } from "../support/kernel.ts";
import { removeStarts, type Start, stampApp, stampJob, startsOf } from "../support/stamp-child.ts";
import { until } from "../support/until.ts";

/** More than two processes do in a second. */
const TASKS = 1_000;

interface Case {
  /** Of the statement that says whether it may start. */
  statement: string;
  /** It has been committed. */
  isAllowed: string;
  scope: string;
  off: (pawl: Pawl) => Promise<unknown>;
  isSource?: boolean;
}

const CASES: Record<string, Case> = {
  "a task, everything is off": {
    statement: "turn_v1",
    isAllowed: "select from pawl.claim",
    scope: "all",
    off: (pawl) => pawl.off("all"),
  },
  "a task, its queue is off": {
    statement: "turn_v1",
    isAllowed: "select from pawl.claim",
    scope: "queue:normal",
    off: (pawl) => pawl.off("queue:normal"),
  },
  "a task, its group is off": {
    statement: "turn_v1",
    isAllowed: "select from pawl.claim",
    scope: "group:jobs",
    off: (pawl) => pawl.off("group:jobs"),
  },
  "a source's request, its group is off": {
    statement: "mark_sent_v1",
    isAllowed: "select from pawl.source_window where state = 'sent'",
    scope: "group:sources",
    off: (pawl) => pawl.off("group:sources"),
    isSource: true,
  },
  "a source's request, everything is off": {
    statement: "mark_sent_v1",
    isAllowed: "select from pawl.source_window where state = 'sent'",
    scope: "all",
    off: (pawl) => pawl.off("all"),
    isSource: true,
  },
  "a source's request, it is paused": {
    statement: "mark_sent_v1",
    isAllowed: "select from pawl.source_window where state = 'sent'",
    scope: "source:orders",
    off: (pawl) => pawl.sources.pause("orders"),
    isSource: true,
  },
  "a batch that is stored, everything is off": {
    statement: "claim_events_v1",
    isAllowed: "select where pawl.running_batches() = 1",
    scope: "all",
    off: (pawl) => pawl.off("all"),
  },
};

test.each(Object.entries(CASES))(
  "R103a R103b: what is on its way to its worker (%s): off returns when it has started, not before",
  async (name, { statement, isAllowed, scope, off, isSource = false }) => {
    const { url } = await freshDatabase({ longLeases: true });
    let starts = 0;
    const job = defineJob({
      name: "job",
      input: z.object({}),
      run: () => {
        starts += 1;
      },
    });
    const isBatch = name.includes("batch");
    const source = defineSource({
      name: "orders",
      order: "source", // else two lanes claim its events, and either may get the only one
      fetch: async (after, limit) => {
        if (isSource) starts += 1;
        return upTo(1)(after, limit);
      },
      store: async () => {
        if (isBatch) starts += 1;
      },
    });
    const isTask = !isSource && !isBatch;
    const app = defineApp({
      jobs: [job],
      sources: isTask ? [] : [source],
      groups: { jobs: ["kind:job"], ...(!isTask && { sources: ["source:orders"] }) },
    });
    const proxy = await databaseProxy(url);
    const person = await connect(app, { databaseUrl: url, log: silentLogger });
    const pawl = await connect(app, { databaseUrl: proxy.url, log: silentLogger });
    onTestFinished(async () => {
      await Promise.all([pawl.close(), person.close()]);
    });
    const answer = proxy.holdAnswerTo(statement);
    await pawl.work({ grace: "1s" });
    if (isTask) await person.enqueue(job, {});
    await until("its answer is on its way", async () => {
      return answer.isHeld && (await person.store.rows(isAllowed)).length === 1;
    });
    let hasReturned = false;
    const turning = off(person).then(() => {
      hasReturned = true;
      return starts;
    });
    await until("off waits for the worker", async () => {
      const [row] = await person.store.rows<{ unseen: number }>(
        "select pawl.unseen_off_v1($1) as unseen",
        [scope],
      );
      const [is] = await person.store.rows<{ epoch: string }>("select epoch from pawl.off_epoch");
      return is?.epoch === "1" && row?.unseen === 1;
    });
    expect(hasReturned).toBe(false);
    expect(starts).toBe(0);
    answer.release();
    expect(await turning).toBe(1);
  },
);

test("R103a: workers that are frozen in the middle of their claims, within and beyond their leases: nothing starts after off has returned", async () => {
  const workers = await fleet({ app: stampApp, child: "stamp-child.ts", setUp: [] });
  const { pawl } = workers;
  try {
    const enqueueSome = () =>
      pawl.enqueueMany(
        stampJob,
        Array.from({ length: TASKS }, () => ({})),
      );
    await enqueueSome();
    const pids = [await workers.start(4), await workers.start(4)];
    const offs: { isBeyondLease: boolean; from: number; to: number }[] = [];
    for (const isBeyondLease of [false, false, false, true]) {
      const before = (await startsOf(pids)).length;
      await until("they are busy", async () => {
        // while this process stands still they may do all that there is
        if ((await count(pawl.store, "task")) < TASKS) await enqueueSome();
        return (await startsOf(pids)).length > before + 20;
      });
      for (const pid of pids) process.kill(pid, "SIGSTOP");
      const turning = pawl.off("all").then(() => Date.now());
      if (!isBeyondLease) {
        await until("off is waiting", async () => {
          const rows = await pawl.store.rows("select from pawl.switch");
          return rows.length === 1;
        });
        for (const pid of pids) process.kill(pid, "SIGCONT");
      }
      const from = await turning;
      if (isBeyondLease) for (const pid of pids) process.kill(pid, "SIGCONT");
      await until("each has a live worker that has seen it", async () => {
        const rows = await pawl.store.rows(
          `select from pawl.worker where ended_at is null and lease_until > pawl.now()
              and off_seen = (select epoch from pawl.off_epoch)`,
        );
        return rows.length === pids.length;
      });
      offs.push({ isBeyondLease, from, to: Date.now() });
      await pawl.on("all");
    }
    const starts = await startsOf(pids);
    const late = (is: boolean) =>
      offs
        .filter(({ isBeyondLease }) => isBeyondLease === is)
        .flatMap(({ from, to }) => starts.filter(({ at }: Start) => at > from && at < to));
    expect(late(false)).toEqual([]);
    // each may have been frozen between its last look and the first line of one handler
    for (const pid of pids)
      expect(late(true).filter((start) => start.pid === pid).length).toBeLessThanOrEqual(1);
  } finally {
    const pids = [...workers.live];
    await workers.stop();
    await removeStarts(pids);
  }
});
