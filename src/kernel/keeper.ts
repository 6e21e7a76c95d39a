/** What any worker does for the whole fleet: rescue, promotion of due tasks, partitions ahead. Each is one call, run by one at a time. */

import type { Logger } from "../base/log.ts";
import { type Loop, loop } from "../base/loop.ts";
import type { Store } from "../store/store.ts";
import { makePartitions, promote, rescue } from "./sql.ts";

const RESCUE_MS = 1_000;
const PROMOTE_LIMIT = 2_000;
const PROMOTE_MS_MAX = 1_000;
/** A busy worker hears no notification of what will be due soon. */
const PROMOTE_BUSY_MS_MAX = 50;
const PARTITION_DAYS = 7;
const PARTITION_MS = 3_600_000;

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
  const loops: Loop[] = [
    promoter,
    loop({ runOnce: () => rescueOnce(options), failed: failed("rescue") }),
    loop({ runOnce: () => partitionOnce(options), failed: failed("making partitions") }),
  ];
  return {
    start: () => {
      for (const one of loops) one.start();
    },
    wake: () => promoter.wake(),
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

async function rescueOnce({ store, log, wake }: KeeperOptions): Promise<number> {
  for (const { worker_id, tasks } of await rescue(store)) {
    log.warn({ worker: worker_id, tasks }, "rescued the tasks of a worker whose lease ran out");
    if (tasks > 0) wake();
  }
  return RESCUE_MS * (0.75 + Math.random() / 2);
}

async function partitionOnce({ store }: KeeperOptions): Promise<number> {
  await makePartitions(store, PARTITION_DAYS);
  return PARTITION_MS * (0.5 + Math.random());
}
