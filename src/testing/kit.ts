/** An app under test: its client on a database for tests, with what was written, a clock to move, and work run on demand. */

import { setTimeout as wait } from "node:timers/promises";
import { type ConnectOptions, connect, type Pawl } from "../app/connect.ts";
import type { App } from "../app/parts.ts";
import type { WorkOptions } from "../app/work-options.ts";
import { PawlError } from "../base/errors.ts";
import { silentLogger } from "../base/log.ts";
import type { AnyJob, JobInput } from "../queue/job.ts";
import { type Captured, type CapturedEvent, type CapturedTask, captured } from "./captured.ts";
import { type TestClock, testClock } from "./clock.ts";
import { findLike, refuseLike } from "./expect.ts";
import { perform } from "./perform.ts";
import { installClock, readMark, removeClock } from "./sql.ts";

const LOOK_MS = 10;

export interface TestKit extends Captured {
  readonly pawl: Pawl;
  readonly clock: TestClock;
  /** Runs a worker of the app until nothing is due any more, then stops it. Work that is due later stays. */
  runUntilIdle(options?: WorkOptions): Promise<void>;
  /**
   * Enqueues a task and makes one attempt of it here. Returns what the job returned, as it is stored; rejects with what it
   * threw.
   */
  perform<J extends AnyJob>(job: J, input: JobInput<J>): Promise<unknown>;
  /** From now on, what was written before is left out. */
  forget(): Promise<void>;
  /** The first task of the job whose fields are like these, such as `{ input: { order: 7 } }`. @throws AssertionError */
  assertEnqueued(job: AnyJob, like?: Partial<CapturedTask>): Promise<CapturedTask>;
  /** @throws AssertionError */
  refuteEnqueued(job: AnyJob, like?: Partial<CapturedTask>): Promise<void>;
  /** The first event of this name whose fields are like these. @throws AssertionError */
  assertRecorded(name: string, like?: Partial<CapturedEvent>): Promise<CapturedEvent>;
  /** @throws AssertionError */
  refuteRecorded(name: string, like?: Partial<CapturedEvent>): Promise<void>;
  /** The first event that `sendTo` sent whose fields are like these. @throws AssertionError */
  assertSent(name: string, like?: Partial<CapturedEvent>): Promise<CapturedEvent>;
  /** The first run of the process whose fields are like these. @throws AssertionError */
  assertStarted(process: { name: string }, like?: Partial<CapturedTask>): Promise<CapturedTask>;
  /** Puts the clock back and closes the client. */
  close(): Promise<void>;
}

/**
 * Connects the app to a database for tests and migrates it. Pawl's clock in that database belongs to the kit until `close`.
 *
 * @throws PawlError `invalid_option` under `NODE_ENV=production`; and what `connect` throws
 */
export async function testKit(
  app: App,
  options: Omit<ConnectOptions, "role"> = {},
): Promise<TestKit> {
  if (process.env.NODE_ENV === "production") {
    throw new PawlError(
      "invalid_option",
      "testKit: NODE_ENV is production; it moves the clock of the database, so it must not touch one that is in use",
    );
  }
  const pawl = await connect(app, { migrate: true, log: silentLogger, ...options });
  const { store } = pawl;
  await installClock(store);
  let mark = await readMark(store);
  const all = captured(store, () => mark);
  return {
    ...all,
    pawl,
    clock: testClock(store),
    runUntilIdle: (work) => runUntilIdle(pawl, work),
    perform: (job, input) => perform(pawl, job, input),
    forget: async () => {
      mark = await readMark(store);
    },
    assertEnqueued: async ({ name }, like) =>
      findLike("a task", await all.enqueued(), { ...like, name }),
    refuteEnqueued: async ({ name }, like) =>
      refuseLike("task", await all.enqueued(), { ...like, name }),
    assertRecorded: async (name, like) =>
      findLike("an event", await all.recorded(), { ...like, name }),
    refuteRecorded: async (name, like) =>
      refuseLike("event", await all.recorded(), { ...like, name }),
    assertSent: async (name, like) => findLike("an event", await all.sent(), { ...like, name }),
    assertStarted: async ({ name }, like) =>
      findLike("a run", await all.started(), { ...like, name }),
    close: async () => {
      await removeClock(store);
      await pawl.close();
    },
  };
}

async function runUntilIdle(pawl: Pawl, options?: WorkOptions): Promise<void> {
  const worker = await pawl.work(options);
  try {
    while (!worker.isIdle || (await worker.isWorkLeft(0))) await wait(LOOK_MS);
  } finally {
    await worker.stop();
  }
}
