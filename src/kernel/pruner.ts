/**
 * Automatic retention: the worker that has the lease `pawl:prune` prunes once an hour; the others wait to take over.
 * `pawl prune` does the same at once.
 */

import type { Logger } from "../base/log.ts";
import { type Loop, loop } from "../base/loop.ts";
import { messageOf } from "../base/thrown.ts";
import type { Store } from "../store/store.ts";
import { NamedLease } from "./named-lease/named-lease.ts";
import { prune } from "./operator/history/prune.ts";

const LEASE = "pawl:prune";
const PRUNE_MS = 3_600_000;
const TAKE_OVER_MS = 60_000;
/** Not during startup. */
const FIRST_MS = 300_000;

export interface PrunerOptions {
  store: Store;
  /** For people: which worker. */
  owner: string;
  log: Logger;
  firstMs?: number;
}

export function pruner({ store, owner, log, firstMs = FIRST_MS }: PrunerOptions): Loop {
  let isFirst = true;
  let hasPruned = false;
  let isStopped = false;
  let lease: NamedLease | undefined;
  const rounds = loop({
    runOnce: async () => {
      if (isFirst) {
        isFirst = false;
        return firstMs * Math.random();
      }
      if (lease === undefined || lease.signal.aborted) {
        const taken = await NamedLease.take(store, { name: LEASE, owner, log });
        if (!(taken instanceof NamedLease)) return TAKE_OVER_MS;
        lease = taken;
        if (isStopped) {
          await taken.release(); // `stop` came while it was taken
          return PRUNE_MS;
        }
      }
      const { dropped, deleted } = await prune(store, {
        isRoutine: hasPruned,
        signal: lease.signal,
      });
      hasPruned = true;
      if (dropped + deleted > 0) log.info({ dropped, deleted }, "pruned history");
      return PRUNE_MS;
    },
    failed: (error) => log.warn({ err: messageOf(error) }, "pruning failed, it is tried again"),
  });
  return {
    ...rounds,
    stop: async () => {
      isStopped = true;
      const stopped = rounds.stop();
      await lease?.release().catch(() => undefined); // ends a pruning in progress after its batch
      await stopped;
    },
  };
}
