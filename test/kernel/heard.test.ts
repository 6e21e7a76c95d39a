import { expect, test } from "vitest";
import { z } from "zod";
import { PawlError } from "../../src/base/errors.ts";
import { connect, defineApp, defineJob, Snooze, type WorkObserver } from "../../src/index.ts";
import { Outage } from "../../src/store/outage.ts";
import { freshDatabase } from "../support/database.ts";
import { databaseProxy } from "../support/database-proxy.ts";
import { LONG_LEASE } from "../support/kernel.ts";
import { until } from "../support/until.ts";

interface Line {
  level: string;
  message: string;
  data: Record<string, unknown>;
}

function recorder() {
  const lines: Line[] = [];
  const at = (level: string) => (data: object, message: string) =>
    void lines.push({ level, message, data: { ...data } });
  const log = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  const of = (level: string) => lines.filter((line) => line.level === level);
  return { log, lines, of };
}

const boom = (): never => {
  throw new Error("an observer's own trouble");
};

test("R119: each failed attempt is a line, each dead task one more, and an observer hears the same", async () => {
  const { log, of } = recorder();
  const heard: [string, object][] = [];
  const on: WorkObserver = {
    started: (what) => heard.push(["started", what]),
    failed: (what) => {
      heard.push(["failed", what]);
      boom();
    },
    dead: (what) => {
      heard.push(["dead", what]);
      return Promise.reject(new Error("later")) as never;
    },
  };
  let snoozes = 0;
  const fails = defineJob({
    name: "fails",
    input: z.object({}),
    retry: { attempts: 2, delays: [0], jitter: 0 },
    run: () => {
      throw new Error("no stock");
    },
  });
  const naps = defineJob({
    name: "naps",
    input: z.object({}),
    run: () => {
      snoozes += 1;
      if (snoozes === 1) throw new Snooze(0);
    },
  });
  const app = defineApp({ name: "heard", jobs: [fails, naps] });
  const pawl = await connect(app, {
    databaseUrl: (await freshDatabase({ longLeases: true })).url,
    migrate: true,
    log,
  });
  await expect(pawl.work({ on: { dies: boom } as never })).rejects.toThrow("work.on");
  await expect(pawl.work({ on: { dead: 5 } as never })).rejects.toThrow(/on.*`?dead/);
  const worker = await pawl.work({ on });
  const { id } = await pawl.enqueue(fails, {});
  const nap = await pawl.enqueue(naps, {});
  await until("it is dead", async () => (await pawl.task(id))?.state === "dead");
  await until("it has slept", async () => (await pawl.task(nap.id))?.state === "done");
  await until("both are told", async () => of("error").length > 0);
  const about = { task: id, kind: "fails", queue: "normal", attempts: 2, err: "no stock" };
  const ofTasks = of("warn").filter(({ data }) => "task" in data); // a busy database may be worth a line too
  expect(ofTasks.map((line) => line.data)).toMatchObject([
    { ...about, attempt: 1, runAt: expect.stringMatching(/^20/) },
    { ...about, attempt: 2, runAt: null },
  ]);
  expect(of("error")).toMatchObject([
    { message: "a task is dead", data: { ...about, attempt: 2, reason: "attempts" } },
  ]);
  expect(of("error")[0]?.data).not.toHaveProperty("outcome"); // that of its last attempt, which was to be retried
  expect(of("info").find((line) => line.message === "worker started")?.data).toMatchObject({
    application: "heard",
    jobs: ["fails", "naps"],
    queues: expect.arrayContaining(["normal"]),
    sources: [],
  });
  const same = { taskId: id, kind: "fails", queue: "normal", attempts: 2, error: "no stock" };
  expect(heard).toMatchObject([
    ["started", { application: "heard", jobs: ["fails", "naps"] }],
    ["failed", { ...same, attempt: 1, runAt: expect.any(Date) }],
    ["failed", { ...same, attempt: 2, runAt: null }],
    ["dead", { ...same, reason: "attempts" }],
  ]);
  await worker.stop();
  await pawl.close();
});

test("R119: a database that is away is told once when it is lost and once when it is back", async () => {
  const proxy = await databaseProxy((await freshDatabase()).url);
  const { log, of, lines } = recorder();
  const heard: string[] = [];
  const pawl = await connect(defineApp({ name: "away" }), {
    databaseUrl: proxy.url,
    migrate: true,
    log,
  });
  await pawl.store.rows(LONG_LEASE); // one that was lost would be told too
  const worker = await pawl.work({
    on: {
      databaseLost: ({ error }) => void heard.push(`lost: ${error}`),
      databaseBack: ({ forMs }) => void heard.push(`back after ${forMs > 0}`),
    },
  });
  const beatAfter = (time: string) =>
    until("it beats", async () => {
      const [row] = await pawl.store.rows<{ at: string }>(
        `select heartbeat_at::text as at from pawl.worker where heartbeat_at > ${time}`,
      );
      return row?.at;
    });
  // it has heard how long its lease is: the answer to the first of two
  await beatAfter(`'${await beatAfter("started_at")}'`);
  proxy.goAway();
  await until("it is told", () => of("warn").length > 0);
  const { length } = of("debug");
  await until("many more have failed", () => of("debug").length > length + 8);
  expect(of("warn").map((line) => line.message)).toEqual([
    "the database is lost, work goes on when it is back",
  ]);
  proxy.comeBack();
  worker.wake();
  await until("it is back", async () => heard.length === 2);
  await until("all loops are at work", async () => (await pawl.stats()).queues.length > 0);
  expect(lines.filter((line) => line.message.startsWith("the database"))).toHaveLength(2);
  expect(of("warn")).toHaveLength(2);
  expect(heard).toEqual([expect.stringMatching(/^lost: database: /), "back after true"]);
  await worker.stop();
  await pawl.close();
  await expect(pawl.stats()).rejects.toMatchObject({ code: "client_closed" });
});

test("R119: a LISTEN that is lost with the database is no line of its own, whatever its error says", async () => {
  const { log, of } = recorder();
  const outage = new Outage(log);
  let isAway = false;
  const rows = async () => {
    if (isAway) throw new PawlError("database_unreachable", "database: connect ECONNREFUSED");
    return [];
  };
  const store = outage.watch({ rows } as never);
  await store.rows("select 1");
  isAway = true;
  await expect(store.rows("select 1")).rejects.toMatchObject({ code: "database_unreachable" });
  const lost = { err: "database: read ECONNRESET", code: "database_unreachable" };
  outage.log.warn(lost, "database: LISTEN was lost, polling goes on");
  expect(of("warn").map((line) => line.message)).toEqual([
    "the database is lost, work goes on when it is back",
  ]);
});

test("R119: an observer hears each attempt start and end, with its outcome and how long it took", async () => {
  const heard: object[] = [];
  let isOut = false;
  const job = defineJob({
    name: "once",
    input: z.object({}),
    retry: { attempts: 2, delays: [0], jitter: 0 },
    run: async (_, { attempt, signal }) => {
      if (attempt === 1) throw new Error("no stock");
      isOut = true;
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    },
  });
  const app = defineApp({ name: "attempts", jobs: [job] });
  const pawl = await connect(app, {
    databaseUrl: (await freshDatabase({ longLeases: true })).url,
    migrate: true,
  });
  const worker = await pawl.work({
    on: {
      attemptStarted: (what) => {
        heard.push(what);
        boom();
      },
      attemptEnded: (what) => {
        heard.push(what);
        boom();
      },
    },
  });
  const { id } = await pawl.enqueue(job, {});
  await until("the second attempt runs", () => isOut);
  await worker.stop("0s");
  await until("its end is told", () => heard.length === 4);
  const same = { taskId: id, kind: "once", queue: "normal" };
  const durationMs = expect.any(Number);
  expect(heard).toEqual([
    { ...same, attempt: 1 },
    { ...same, attempt: 1, outcome: "retry", durationMs },
    { ...same, attempt: 2 },
    { ...same, attempt: 2, outcome: "given_back", durationMs },
  ]);
  await pawl.close();
});
