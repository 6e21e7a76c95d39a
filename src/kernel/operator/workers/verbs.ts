/** The noun `workers`: lists live workers, and asks them to stop. */

import { setTimeout as wait } from "node:timers/promises";
import { iso } from "../../../operate/table.ts";
import {
  type ActOptions,
  type Desk,
  listing,
  type Noun,
  type Verb,
  verb,
} from "../../../operate/verb.ts";
import { flag } from "../../../options/kinds.ts";
import { type WorkerRow, workers } from "../sql.ts";
import { stopAllWorkers } from "./stop.ts";

const LOOK_MS = 200;

export interface StopWorkers extends ActOptions {
  /** Waits until the workers that are live now have ended. */
  wait?: boolean;
}

export interface StoppedWorkers {
  /** Number of workers that had not been asked before. */
  asked: number;
  /** With `wait`: number of workers that ended; else null. */
  ended: number | null;
}

/** `pawl.workers`. */
export interface Workers {
  /** Returns the live workers. */
  list(): Promise<WorkerRow[]>;
  /** Asks all live workers, on every machine, to finish or give back their tasks and to end. */
  stop(options?: StopWorkers): Promise<StoppedWorkers>;
}

const list: Verb<Workers["list"], Desk> = verb({
  help: "List the live workers",
  examples: [["pawl workers list", "where they run, what they take, and what they run now"]],
  input: {},
  isTolerant: true,
  run: ({ store }) => workers(store),
  ...listing<WorkerRow>("workers", [
    { head: "ID", value: (row) => row.id, align: "right" },
    { head: "HOST", value: (row) => row.host },
    { head: "PID", value: (row) => row.pid, align: "right" },
    { head: "APP", value: (row) => row.application },
    { head: "RUNNING", value: (row) => `${row.running}/${row.concurrency}`, align: "right" },
    { head: "STARTED", value: (row) => iso(row.startedAt) },
    { head: "HEARTBEAT", value: (row) => iso(row.heartbeatAt) },
    { head: "SERVES", value: (row) => [...row.queues, ...row.serves].join(", ") },
  ]),
});

const stop: Verb<Workers["stop"], Desk> = verb({
  help: "Ask all live workers to stop; they finish their tasks or give them back",
  examples: [
    ["pawl stop-workers", "before a release; a supervisor starts them again"],
    ["pawl stop-workers --wait", "until those have ended, or their leases have run out"],
  ],
  input: { wait: flag("wait until the workers that are live now have ended") },
  changes: true,
  run: async (desk, { wait: isAwaited }, act): Promise<StoppedWorkers> => {
    const live = (await workers(desk.store)).map((worker) => worker.id);
    const asked = await stopAllWorkers(desk.store, act);
    if (isAwaited === true) await untilEnded(desk, new Set(live));
    return { asked, ended: isAwaited === true ? live.length : null };
  },
  text: ({ asked, ended }) =>
    `workers: ${ended === null ? `${asked} asked to stop` : `${ended} ended`}`,
});

/** Always ends: a worker stops within its grace, or its lease ends. */
async function untilEnded({ store, report }: Desk, ids: ReadonlySet<string>): Promise<void> {
  for (;;) {
    const live = (await workers(store)).filter((worker) => ids.has(worker.id));
    if (live.length === 0) break;
    report(`waiting for ${live.length} of ${ids.size} workers`);
    await wait(LOOK_MS);
  }
  report("");
}

export const workersNoun: Noun<Workers, Desk> = {
  name: "workers",
  help: "Look at the live workers",
  verbs: { list, stop },
  paths: { stop: "stop-workers" },
};
