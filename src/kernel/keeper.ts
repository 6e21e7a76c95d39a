/**
 * What any worker does for the whole fleet: rescue, promotion of due tasks, sorting of lanes, bringing back what a limit key set aside, expiry, closing of breakers,
 * partitions ahead. Each is one call, run by one at a time.
 */

import type { Logger } from "../base/log.ts";
import { type Loop, loop } from "../base/loop.ts";
import { messageOf } from "../base/thrown.ts";
import type { Store } from "../store/store.ts";
import { closeQuietBreakers } from "./breaker/sql.ts";
import { hearFates, type WorkObserver } from "./heard.ts";
import { admitter } from "./limit-keys/admitter.ts";
import { forgetter } from "./limit-keys/forgetter.ts";
import type { Fate } from "./outcome.ts";
import { keepQuiet } from "./quiet/sql.ts";
import { rounds } from "./rounds.ts";
import {
  expire,
  makePartitions,
  promote,
  rescue,
  type Sorted,
  sortLanes,
  useShards,
} from "./sql.ts";
import { type Chore, isDue } from "./watch/sql.ts";
import { type Question, WATCHED_MS } from "./watch/watch.ts";

const RESCUES_MAX = 100;
const PROMOTE_LIMIT = 2_000;
/** A busy worker gets no notification of tasks that will be due soon. */
const PROMOTE_BUSY_MS_MAX = 50;
/** A pass holds the heads of the lanes that it sorts: it is short. */
const SORT_LIMIT = 1_000;
const SORT_MS = { baseMs: 5, maxMs: 1_000, busyMs: 25 };
const USE_SHARDS_GAP_MS = 20;
const EXPIRE_LIMIT = 500;
const QUIET_BREAKERS_MS = 10_000;
/** Between two looks at quiet hours, where none ends earlier. */
const QUIET_HOURS_MS = 3_600_000;
const QUIET_HOURS_MS_MIN = 1_000;
const PARTITION_DAYS = 7;
const PARTITION_MS = 3_600_000;
/** While a long query runs, each try blocks others for 2 s. */
const PARTITION_GAP_MS = 60_000;

export interface KeeperOptions {
  store: Store;
  log: Logger;
  observer?: WorkObserver | undefined;
  isIdle: () => boolean;
  /** Something became ready. */
  wake: () => void;
  /** Asks for work that no notification announces. */
  watch: (question: Question) => void;
}

export interface Keeper {
  start(): void;
  /** Something may be due earlier than thought. */
  wake(): void;
  stop(): Promise<void>;
}

export function keeper(options: KeeperOptions): Keeper {
  const { log } = options;
  const failed = (what: string) => (error: unknown) =>
    log.warn({ err: messageOf(error) }, `${what} failed, it is tried again`);
  const promoter = loop({
    runOnce: () => promoteOnce(options),
    failed: failed("promotion"),
    gapMs: 2,
  });
  const sorter = laneSorter(options);
  const admits = admitter(options);
  const user = loop({
    runOnce: () => useShardsOnce(options),
    failed: failed("looking for first uses"),
    gapMs: USE_SHARDS_GAP_MS,
  });
  const expirer = loop({ runOnce: () => expireOnce(options), failed: failed("expiry") });
  const rescuer = loop({
    runOnce: () => rescueOnce(options, promoter),
    failed: failed("rescue"),
  });
  const chores: [Chore, Loop][] = [
    ["promote", promoter],
    ["sort", sorter],
    ["admit", admits],
    ["use", user],
    ["expire", expirer],
    ["rescue", rescuer],
  ];
  for (const [chore, one] of chores)
    options.watch({ sql: isDue(chore), isChore: true, yes: () => one.wake() });
  const loops: Loop[] = [
    ...chores.map(([, one]) => one),
    loop({ runOnce: () => closeBreakersOnce(options), failed: failed("closing breakers") }),
    loop({ runOnce: () => quietOnce(options), failed: failed("looking up quiet hours") }),
    forgetter(options),
    loop({
      runOnce: () => partitionOnce(options),
      failed: failed("making partitions"),
      gapMs: PARTITION_GAP_MS,
    }),
  ];
  return {
    start: () => {
      for (const one of loops) one.start();
    },
    wake: () => {
      promoter.wake();
      sorter.wake();
      admits.wake();
      user.wake();
    },
    stop: async () => {
      await Promise.all(loops.map((one) => one.stop()));
    },
  };
}

async function promoteOnce({ store, isIdle, wake }: KeeperOptions): Promise<number> {
  const { promoted, next_ms } = await promote(store, PROMOTE_LIMIT);
  if (promoted > 0) wake();
  if (promoted === PROMOTE_LIMIT) return 0;
  return Math.min(next_ms ?? WATCHED_MS, isIdle() ? WATCHED_MS : PROMOTE_BUSY_MS_MAX);
}

/** Passes follow each other while there is something to sort. */
function laneSorter({ store, log, isIdle, wake }: KeeperOptions): Loop {
  return loop({
    runOnce: rounds<Sorted>({
      pass: (after) => sortLanes(store, SORT_LIMIT, after),
      done: ({ sorted }) => sorted,
      isOver: ({ after_lane }) => after_lane === null,
      partMs: 0,
      roundMs: SORT_MS,
      isIdle,
      wake,
    }),
    failed: (error) =>
      log.warn({ err: messageOf(error) }, "sorting lanes failed, it is tried again"),
  });
}

async function useShardsOnce({ store, wake }: KeeperOptions): Promise<number> {
  if ((await useShards(store)) > 0) wake();
  return WATCHED_MS;
}

async function expireOnce({ store }: KeeperOptions): Promise<number> {
  return (await expire(store, EXPIRE_LIMIT)) === EXPIRE_LIMIT ? 0 : WATCHED_MS;
}

async function rescueOnce(
  { store, log, observer }: KeeperOptions,
  promoter: Loop,
): Promise<number> {
  for (let workers = 0; workers < RESCUES_MAX; workers += 1) {
    const fates: Fate[] = [];
    const [rescued] = await rescue(store, (told) => {
      fates.push(...told);
    });
    if (rescued === undefined) break;
    const { worker_id, tasks } = rescued;
    log.warn({ worker: worker_id, tasks }, "rescued the tasks of a worker whose lease ran out");
    hearFates(fates, { log, observer });
    if (tasks > 0) promoter.wake(); // they are due
  }
  return WATCHED_MS;
}

async function closeBreakersOnce({ store, log }: KeeperOptions): Promise<number> {
  for (const { stream_id: stream } of await closeQuietBreakers(store))
    log.info({ stream }, "a breaker was closed: no task came as a probe");
  return QUIET_BREAKERS_MS * (0.75 + Math.random() / 2);
}

/** A claim computes what is not kept, so nothing hangs on it. */
async function quietOnce({ store }: KeeperOptions): Promise<number> {
  const ms = (await keepQuiet(store)) ?? QUIET_HOURS_MS;
  return Math.min(Math.max(ms, QUIET_HOURS_MS_MIN), QUIET_HOURS_MS);
}

async function partitionOnce({ store }: KeeperOptions): Promise<number> {
  await makePartitions(store, PARTITION_DAYS);
  return PARTITION_MS * (0.5 + Math.random());
}
