/** The options of a worker, read and checked before anything starts. */

import type { Duration } from "../base/duration.ts";
import { PawlError, shown } from "../base/errors.ts";
import { didYouMean } from "../base/suggest.ts";
import { OBSERVED, type WorkObserver } from "../kernel/heard.ts";
import { CLAIM_MIN } from "../kernel/pump.ts";
import { WATCHED_MS } from "../kernel/watch/watch.ts";
import type { WorkerOptions } from "../kernel/worker.ts";
import { type Field, type FieldsOf, readOptions, withDefault } from "../options/field.ts";
import { amounts, choice, duration, func, integer, names } from "../options/kinds.ts";
import { asItIs, group, list } from "../options/parts.ts";
import type { Store } from "../store/store.ts";
import { type App, type AppPart, PARTS, type PartRole } from "./parts.ts";

const CONCURRENCY_MAX = 10_000;
const TURNS_DEFAULT_MAX = 3;
const TURNS_MAX = 16;
const TRANSACTIONS_DEFAULT_MAX = 10;
const TRANSACTIONS_MAX = 1_000;
const WEIGHT_MAX = 1_000;
const POLL_MS_MIN = 100;
/** What a worker does: runs tasks, loads sources, stores their events, starts what schedules are due to start. */
export type WorkRole = "worker" | PartRole;

export interface WorkOptions {
  /**
   * `worker` runs tasks, `loader` loads the app's sources, `mover` stores their events, `scheduler` starts
   * the tasks of schedules. Default: all.
   */
  roles?: readonly WorkRole[];
  /** The queues to serve, in order of preference. Default: all queues of the app, then its destinations. */
  queues?: readonly string[];
  /** Queues that it does not serve, of those that it would serve otherwise. */
  exclude?: readonly string[];
  /**
   * Shares of the starts by queue, 1 to 1,000: with `{ high: 5, low: 1 }` five tasks of `high` start for each of `low` while both
   * have work. A queue that is not named has 1. Default: a queue starts nothing while one before it has work.
   */
  weights?: Readonly<Record<string, number>>;
  /** Maximum number of tasks that run at once, 1 to 10,000; default 20. */
  concurrency?: number;
  /**
   * Maximum number of turns (claim and settle) at once, each on its own connection, 1 to 16. Default: one for each 50 slots,
   * at most 3.
   */
  turns?: number;
  /**
   * Maximum number of open transactions of handlers (`context.tx`) and of sources' `store`, each on its own connection.
   * Default: `concurrency`, at most 10.
   */
  transactions?: number;
  /** Stops the worker after this many tasks. */
  limit?: number;
  /** Stops the worker after this many failed attempts. What was cancelled, snoozed or `Recoverable` has not failed. */
  failureLimit?: number;
  /**
   * Stops the worker after this time. A step of a process whose `timeout` is longer than the time that is left does not start here; its run
   * waits for another worker.
   */
  timeLimit?: Duration;
  /**
   * How often an idle worker asks the database for work that no notification announced, 100 ms to 30 s; default 1 s. Matters
   * where notifications do not arrive, such as behind PgBouncer: the longest wait of a task, against one query for each interval.
   * What the fleet waits for, such as the rescue of a dead worker's tasks, is asked every second all the same.
   */
  pollInterval?: Duration;
  /** How long a stop waits for running tasks before it gives them back; default 25 s. */
  grace?: Duration;
  /**
   * Functions that the worker calls when it starts, for each attempt, each failure and each dead task, and when the database
   * is lost and back.
   */
  on?: WorkObserver;
}

/** Read from code, and some of them from the flags of `pawl work`. */
export const WORK_FIELDS: WorkFields = workFields(PARTS);

type WorkFields = {
  readonly roles: Field<readonly WorkRole[], WorkRole[]>;
  readonly queues: Field<readonly string[], string[]>;
  readonly exclude: Field<readonly string[], string[]>;
  readonly weights: Field<Readonly<Record<string, number>>>;
  readonly concurrency: Field<number, number, "default">;
  readonly turns: Field<number>;
  readonly transactions: Field<number>;
  readonly limit: Field<number>;
  readonly failureLimit: Field<number>;
  readonly timeLimit: Field<Duration, number>;
  readonly pollInterval: Field<Duration, number>;
  readonly grace: Field<Duration, number, "default">;
  readonly on: Field<WorkObserver>;
};

function workFields(parts: readonly AppPart[]): WorkFields {
  return {
    roles: rolesField(rolesOf(parts)),
    queues: names("only these queues, in order of preference: high,normal"),
    exclude: names("all queues but these"),
    weights: amounts({
      help: "shares of the starts, instead of a strict order: high=5,normal=3,low=1",
      shape: "queue=n,…",
      max: WEIGHT_MAX,
    }),
    concurrency: withDefault(
      20,
      integer({ help: "maximum number of tasks at once", max: CONCURRENCY_MAX }),
    ),
    turns: integer({ help: "maximum number of turns (claim and settle) at once", max: TURNS_MAX }),
    transactions: integer({ help: "maximum number of open transactions", max: TRANSACTIONS_MAX }),
    limit: integer({ help: "stop after this many tasks", max: Number.MAX_SAFE_INTEGER }),
    failureLimit: integer({
      help: "stop after this many failed attempts",
      max: Number.MAX_SAFE_INTEGER,
    }),
    timeLimit: duration({ help: "stop after this time", minMs: 1 }),
    pollInterval: duration({
      help: "how often an idle worker asks for work that no notification announced (default: 1s)",
      minMs: POLL_MS_MIN,
      maxMs: WATCHED_MS,
    }),
    grace: withDefault(
      "25s",
      duration({ help: "how long running tasks may take to finish after a stop" }),
    ),
    on: observer(),
  } satisfies FieldsOf<WorkOptions>;
}

/** Each role with what it does. */
function rolesOf(parts: readonly AppPart[]): Record<WorkRole, string> {
  return Object.assign({ worker: "runs tasks" }, ...parts.map((part) => part.roles));
}

function rolesField(roles: Record<WorkRole, string>): WorkFields["roles"] {
  const each = Object.entries(roles).map(([role, does]) => `${role} ${does}`);
  return list(choice(Object.keys(roles) as WorkRole[]), {
    help: `${each.join(", ")} (default: all)`,
  });
}

/** Keeps the object itself, because its functions may use `this`. */
function observer(): Field<WorkObserver> {
  const functions = OBSERVED.map(
    (event) => [event, func(`that is called for "${event}"`)] as const,
  );
  return asItIs(group("functions that the worker calls", Object.fromEntries(functions)));
}

/** The options with their defaults, each within its bounds. */
export interface WorkPlan {
  readonly roles: readonly WorkRole[];
  /** Empty if the worker runs no tasks. */
  readonly queues: readonly string[];
  readonly exclude: readonly string[] | undefined;
  readonly weights: Readonly<Record<string, number>> | undefined;
  readonly runsTasks: boolean;
  readonly concurrency: number;
  readonly turns: number;
  readonly transactions: number;
  /** Among the limits too; parts do not begin what would take longer. */
  readonly timeLimitMs: number | undefined;
  readonly limits: Pick<WorkerOptions, "limit" | "failureLimit" | "timeLimitMs" | "pollMs">;
  readonly graceMs: number;
  readonly observer: WorkObserver | undefined;
}

/** @throws PawlError `invalid_option`, `unknown_queue` */
export async function workPlan(
  store: Store,
  app: App,
  options: WorkOptions,
  parts: readonly AppPart[],
): Promise<WorkPlan> {
  const { concurrency, ...read } = readOptions("work", workFields(parts), options);
  const roles = read.roles ?? (Object.keys(rolesOf(parts)) as WorkRole[]);
  const runsTasks = roles.includes("worker");
  return {
    observer: read.on,
    roles,
    queues: runsTasks ? await wantedQueues(read, { store, app, parts }) : [],
    exclude: read.exclude,
    weights: read.weights,
    runsTasks,
    concurrency,
    turns: read.turns ?? turnsFor(concurrency),
    transactions: read.transactions ?? Math.min(concurrency, TRANSACTIONS_DEFAULT_MAX),
    timeLimitMs: read.timeLimit,
    limits: {
      limit: read.limit,
      failureLimit: read.failureLimit,
      timeLimitMs: read.timeLimit,
      pollMs: read.pollInterval,
    },
    graceMs: read.grace,
  };
}

/** More turns than the slots can fill would be smaller turns, and the cost of a turn is mostly fixed. */
function turnsFor(concurrency: number): number {
  return Math.min(Math.ceil(concurrency / CLAIM_MIN), TURNS_DEFAULT_MAX);
}

async function wantedQueues(
  { queues, exclude = [], weights = {} }: Pick<WorkOptions, "queues" | "exclude" | "weights">,
  { store, app, parts }: { store: Store; app: App; parts: readonly AppPart[] },
): Promise<readonly string[]> {
  const known = parts.flatMap((part) => part.queues?.(app) ?? []);
  const ofCode = [...known];
  const named = [...(queues ?? []), ...exclude, ...Object.keys(weights)];
  if (named.some((name) => !known.includes(name)))
    for (const part of parts) known.push(...((await part.operatorsQueues?.(store)) ?? []));
  const unknown = named.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new PawlError(
      "unknown_queue",
      `work: no queue ${shown(unknown)}; ${didYouMean(unknown, known)}`,
    );
  }
  const served = (
    queues ?? [...ofCode, ...Object.keys(weights).filter((name) => !ofCode.includes(name))]
  ).filter((name) => !exclude.includes(name));
  const unserved = Object.keys(weights).find((name) => !served.includes(name));
  if (unserved === undefined) return served;
  throw new PawlError(
    "invalid_option",
    `work: \`weights\` names the queue ${shown(unserved)}, which this worker does not serve; remove it there`,
  );
}
