/** The options of a worker, read and checked before anything starts. */

import type { Duration } from "../base/duration.ts";
import { PawlError, shown } from "../base/errors.ts";
import { didYouMean } from "../base/suggest.ts";
import { OBSERVED, type WorkObserver } from "../kernel/heard.ts";
import { CLAIM_MIN } from "../kernel/pump.ts";
import { type Field, type FieldsOf, readOptions, withDefault } from "../options/field.ts";
import { choice, duration, func, integer, names } from "../options/kinds.ts";
import { asItIs, group, list } from "../options/parts.ts";
import type { Store } from "../store/store.ts";
import { type App, type AppPart, PARTS, type PartRole } from "./parts.ts";

const CONCURRENCY_MAX = 10_000;
const TURNS_DEFAULT_MAX = 3;
const TURNS_MAX = 16;
const TRANSACTIONS_DEFAULT_MAX = 10;
const TRANSACTIONS_MAX = 1_000;
/** What a worker does: runs tasks, loads sources, stores their events. */
export type WorkRole = "worker" | PartRole;

export interface WorkOptions {
  /** `worker` runs tasks, `loader` loads the app's sources, `mover` stores their events. Default: all three. */
  roles?: readonly WorkRole[];
  /** The queues to serve, in order of preference. Default: all queues of the app, then its destinations. */
  queues?: readonly string[];
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
  readonly concurrency: Field<number, number, "default">;
  readonly turns: Field<number>;
  readonly transactions: Field<number>;
  readonly limit: Field<number>;
  readonly grace: Field<Duration, number, "default">;
  readonly on: Field<WorkObserver>;
};

function workFields(parts: readonly AppPart[]): WorkFields {
  return {
    roles: rolesField(rolesOf(parts)),
    queues: names("only these queues, in order of preference: high,normal"),
    concurrency: withDefault(
      20,
      integer({ help: "maximum number of tasks at once", max: CONCURRENCY_MAX }),
    ),
    turns: integer({ help: "maximum number of turns (claim and settle) at once", max: TURNS_MAX }),
    transactions: integer({ help: "maximum number of open transactions", max: TRANSACTIONS_MAX }),
    limit: integer({ help: "stop after this many tasks", max: Number.MAX_SAFE_INTEGER }),
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
  readonly runsTasks: boolean;
  readonly concurrency: number;
  readonly turns: number;
  readonly transactions: number;
  readonly limit: number | undefined;
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
    queues: runsTasks ? await wantedQueues(read.queues, { store, app, parts }) : [],
    runsTasks,
    concurrency,
    turns: read.turns ?? turnsFor(concurrency),
    transactions: read.transactions ?? Math.min(concurrency, TRANSACTIONS_DEFAULT_MAX),
    limit: read.limit,
    graceMs: read.grace,
  };
}

/** More turns than the slots can fill would be smaller turns, and the cost of a turn is mostly fixed. */
function turnsFor(concurrency: number): number {
  return Math.min(Math.ceil(concurrency / CLAIM_MIN), TURNS_DEFAULT_MAX);
}

async function wantedQueues(
  wanted: readonly string[] | undefined,
  { store, app, parts }: { store: Store; app: App; parts: readonly AppPart[] },
): Promise<readonly string[]> {
  const known = parts.flatMap((part) => part.queues?.(app) ?? []);
  if (wanted === undefined) return known;
  if (wanted.some((name) => !known.includes(name)))
    for (const part of parts) known.push(...((await part.operatorsQueues?.(store)) ?? []));
  const unknown = wanted.find((name) => !known.includes(name));
  if (unknown === undefined) return wanted;
  throw new PawlError(
    "unknown_queue",
    `work: no queue ${shown(unknown)}; ${didYouMean(unknown, known)}`,
  );
}
