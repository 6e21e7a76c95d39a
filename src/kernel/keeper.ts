/**
 * What any worker does for the whole fleet: rescue, promotion of due tasks, sorting of lanes, expiry, partitions ahead.
 * Each is one call, run by one at a time.
 */

import { backoffMs } from "../base/backoff.ts";
import type { Logger } from "../base/log.ts";
import { type Loop, loop } from "../base/loop.ts";
import type { Store } from "../store/store.ts";
import {
  expire,
  makePartitions,
  promote,
  rescue,
  type Sorted,
  sortLanes,
  useShards,
} from "./sql.ts";

const RESCUE_MS = 1_000;
const RESCUES_MAX = 100;
const PROMOTE_LIMIT = 2_000;
const PROMOTE_MS_MAX = 1_000;
/** A busy worker hears no notification of what will be due soon. */
const PROMOTE_BUSY_MS_MAX = 50;
/** A pass holds the heads of the lanes that it sorts: it is short. */
const SORT_LIMIT = 1_000;
const SORT_MS = { baseMs: 5, maxMs: 1_000 };
const SORT_BUSY_MS_MAX = 25;
const USE_SHARDS_MS = 1_000;
const USE_SHARDS_GAP_MS = 20;
const EXPIRE_LIMIT = 500;
const EXPIRE_MS = 1_000;
const PARTITION_DAYS = 7;
const PARTITION_MS = 3_600_000;
/** Behind a long query each try holds up others for 2 s. */
const PARTITION_GAP_MS = 60_000;

export interface KeeperOptions {
  store: Store;
  log: Logger;
  isIdle: () => boolean;
  /** Something became ready. */
  wake: () => void;
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
    log.warn({ err: (error as Error).message }, `${what} failed, it is tried again`);
  const promoter = loop({
    runOnce: () => promoteOnce(options),
    failed: failed("promotion"),
    gapMs: 2,
  });
  const sorter = laneSorter(options);
  const user = loop({
    runOnce: () => useShardsOnce(options),
    failed: failed("looking for first uses"),
    gapMs: USE_SHARDS_GAP_MS,
  });
  const loops: Loop[] = [
    promoter,
    sorter,
    user,
    loop({ runOnce: () => expireOnce(options), failed: failed("expiry") }),
    loop({ runOnce: () => rescueOnce(options), failed: failed("rescue") }),
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
  return Math.min(next_ms ?? PROMOTE_MS_MAX, isIdle() ? PROMOTE_MS_MAX : PROMOTE_BUSY_MS_MAX);
}

/** Passes follow each other while there is something to sort; after a round without success the next one waits. */
function laneSorter({ store, log, isIdle, wake }: KeeperOptions): Loop {
  let after: Sorted | undefined;
  let roundsInVain = 0;
  let sortedInRound = 0;
  return loop({
    runOnce: async () => {
      after = await sortLanes(store, SORT_LIMIT, after);
      sortedInRound += after.sorted ?? 0;
      if ((after.sorted ?? 0) > 0) wake();
      if (after.after_lane !== null) return 0;
      roundsInVain = sortedInRound === 0 ? roundsInVain + 1 : 0;
      sortedInRound = 0;
      const pauseMs = backoffMs(roundsInVain + 1, SORT_MS);
      return isIdle() ? pauseMs : Math.min(pauseMs, SORT_BUSY_MS_MAX);
    },
    failed: (error) =>
      log.warn({ err: (error as Error).message }, "sorting lanes failed, it is tried again"),
  });
}

async function useShardsOnce({ store, wake }: KeeperOptions): Promise<number> {
  if ((await useShards(store)) > 0) wake();
  return USE_SHARDS_MS;
}

async function expireOnce({ store }: KeeperOptions): Promise<number> {
  return (await expire(store, EXPIRE_LIMIT)) === EXPIRE_LIMIT ? 0 : EXPIRE_MS;
}

async function rescueOnce({ store, log, wake }: KeeperOptions): Promise<number> {
  for (let workers = 0; workers < RESCUES_MAX; workers += 1) {
    const [rescued] = await rescue(store);
    if (rescued === undefined) break;
    const { worker_id, tasks } = rescued;
    log.warn({ worker: worker_id, tasks }, "rescued the tasks of a worker whose lease ran out");
    if (tasks > 0) wake();
  }
  return RESCUE_MS * (0.75 + Math.random() / 2);
}

async function partitionOnce({ store }: KeeperOptions): Promise<number> {
  await makePartitions(store, PARTITION_DAYS);
  return PARTITION_MS * (0.5 + Math.random());
}
