/** What a worker is asked to do: read and checked before anything is started. */

import { type Duration, durationMs } from "../base/duration.ts";
import { PawlError, shown } from "../base/errors.ts";
import { refuseUnknownOptions } from "../base/options.ts";
import { didYouMean } from "../base/suggest.ts";
import { CLAIM_MIN } from "../kernel/pump.ts";
import { operatorsDestinations } from "../outbox/sql.ts";
import { REQUESTS_QUEUE } from "../requests/dispatch/queue.ts";
import type { Store } from "../store/store.ts";
import type { App } from "./define-app.ts";
import { type WorkRole, wantedRoles } from "./inbox-loops.ts";

const CONCURRENCY_DEFAULT = 20;
const CONCURRENCY_MAX = 10_000;
const TURNS_DEFAULT_MAX = 3;
const TURNS_MAX = 16;
const TRANSACTIONS_DEFAULT_MAX = 10;
const TRANSACTIONS_MAX = 1_000;
const OPTIONS = ["roles", "queues", "concurrency", "turns", "transactions", "limit", "grace"];
const GRACE_DEFAULT: Duration = "25s";

export interface WorkOptions {
  /** `worker` runs tasks, `loader` loads the app's sources, `mover` stores what they gave; default all three. */
  roles?: readonly WorkRole[];
  /** Which queues, the preferred first; default: all of the app, then its destinations. */
  queues?: readonly string[];
  /** Tasks run at once, 1 to 10,000; default 20. */
  concurrency?: number;
  /** Turns under way at once, each on a connection of its own, 1 to 16; default one for each 50 slots, at most 3. */
  turns?: number;
  /** Handlers with `context.tx` open at once, each on a connection of its own; default `concurrency`, at most 10. */
  transactions?: number;
  /** Stops after so many tasks. */
  limit?: number;
  /** How long a stop waits for what runs before it gives it back; default 25 s. */
  grace?: Duration;
}

/** The options with their defaults, each within its bounds. */
export interface WorkPlan {
  readonly roles: readonly WorkRole[];
  /** Empty where no tasks are run. */
  readonly queues: readonly string[];
  readonly runsTasks: boolean;
  readonly concurrency: number;
  readonly turns: number;
  readonly transactions: number;
  readonly limit: number | undefined;
  readonly graceMs: number;
}

/** @throws PawlError `invalid_option`, `unknown_queue` */
export async function workPlan(store: Store, app: App, options: WorkOptions): Promise<WorkPlan> {
  refuseUnknownOptions("work", options, OPTIONS);
  const { limit } = options;
  const concurrency = whole(
    "concurrency",
    options.concurrency ?? CONCURRENCY_DEFAULT,
    CONCURRENCY_MAX,
  );
  const roles = wantedRoles(options.roles);
  const runsTasks = roles.includes("worker");
  return {
    roles,
    queues: runsTasks ? await wantedQueues(store, app, options.queues) : [],
    runsTasks,
    concurrency,
    turns: whole("turns", options.turns ?? turnsFor(concurrency), TURNS_MAX),
    transactions: whole(
      "transactions",
      options.transactions ?? Math.min(concurrency, TRANSACTIONS_DEFAULT_MAX),
      TRANSACTIONS_MAX,
    ),
    limit: limit === undefined ? undefined : whole("limit", limit, Number.MAX_SAFE_INTEGER),
    graceMs: durationMs(options.grace ?? GRACE_DEFAULT, "grace"),
  };
}

/** More turns than the slots can fill are smaller ones, and what a turn costs is mostly fixed. */
function turnsFor(concurrency: number): number {
  return Math.min(Math.ceil(concurrency / CLAIM_MIN), TURNS_DEFAULT_MAX);
}

async function wantedQueues(
  store: Store,
  app: App,
  wanted: readonly string[] | undefined,
): Promise<string[]> {
  const known = [
    ...app.queues.map((queue) => queue.name),
    ...app.destinations.map((one) => one.queue),
    REQUESTS_QUEUE,
  ];
  if (wanted?.some((name) => !known.includes(name)) === true) {
    known.push(...(await operatorsDestinations(store)).map((one) => one.queue));
  }
  for (const name of wanted ?? []) {
    if (known.includes(name)) continue;
    throw new PawlError("unknown_queue", `work: no queue "${name}"; ${didYouMean(name, known)}`);
  }
  if (wanted !== undefined && wanted.length === 0) {
    throw new PawlError(
      "invalid_option",
      "work: expected `queues` to name at least one queue, got []",
    );
  }
  return wanted === undefined ? known : [...wanted];
}

function whole(name: string, value: number, max: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw new PawlError(
    "invalid_option",
    `work: expected \`${name}\` to be an integer from 1 to ${max}, got ${shown(value)}`,
  );
}
