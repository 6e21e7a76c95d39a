/**
 * The mover, run by any worker: takes events from the inbox to where they are stored, source by source, a batch in each
 * transaction. Several movers share the work by skipping what another holds.
 */

import type { Logger } from "../base/log.ts";
import { type Loop, loop } from "../base/loop.ts";
import { messageOf } from "../base/thrown.ts";
import type { Starting } from "../kernel/starts.ts";
import { nextPollMs, type Question } from "../kernel/watch/watch.ts";
import { translateDatabaseError } from "../store/sqlstate.ts";
import type { Store } from "../store/store.ts";
import { decodeAgain } from "./decode-again.ts";
import type { SourceDefinition, StoreContext } from "./source.ts";
import { IS_SOMETHING_TO_STORE, sourcesToStore, storeEvents } from "./sql.ts";
import { pause, storeBatch } from "./store-batch.ts";

const BATCH = 1_000;
const POLLS = { baseMs: 20, maxMs: 1_000, busyMs: 100 };
const LOOK_MS_MAX = 1_000;
/** How long a stop waits for a running batch by default; then the batch is rolled back. */
const GRACE_MS = 20_000;
/** Batches of one source at once, if its order is not kept: one computes while the other waits for the database. */
const LANES = 2;
/** A source makes room for the next one after this many batches. */
const BATCHES_A_TURN = 20;

export interface MoverOptions {
  store: Store;
  /** The pool for batches of the sources' own `store`. */
  batches: Store;
  sources: readonly SourceDefinition[];
  log: Logger;
  payloadBytesMax: number;
  isIdle: () => boolean;
  watch: (question: Question) => void;
  /** A switch on this host holds everything. */
  isOffHere: () => boolean;
  /** See `WorkerView`. */
  starting: Starting;
  /** What handlers call beside `tx`. */
  writes: (tx: StoreContext["tx"]) => Pick<StoreContext, "enqueue" | "record" | "start">;
}

export interface Mover extends Loop {
  /** True if there was nothing to store at the last look. */
  readonly isIdle: boolean;
}

export function mover(options: MoverOptions): Mover {
  const { store, sources, log, isIdle, isOffHere } = options;
  const byName = new Map(sources.map((source) => [source.name, source]));
  const names = [...byName.keys()];
  const stop = new AbortController();
  const cut = new AbortController();
  const signals = { stop: stop.signal, cut: cut.signal };
  let emptyRounds = 0;
  const rounds = loop({
    runOnce: async () => {
      if (isOffHere()) {
        emptyRounds += 1;
        return LOOK_MS_MAX;
      }
      let moved = 0;
      for (const { name, ...found } of await sourcesToStore(store, names)) {
        const source = byName.get(name);
        if (source !== undefined)
          moved += await moveSource(found, source, { ...options, ...signals });
      }
      emptyRounds = moved === 0 ? emptyRounds + 1 : 0;
      if (moved > 0) return 0;
      return nextPollMs(emptyRounds, POLLS, isIdle());
    },
    failed: (error) =>
      log.warn({ err: messageOf(error) }, "storing events failed, it is tried again"),
  });
  options.watch({
    sql: IS_SOMETHING_TO_STORE,
    value: () => names,
    yes: () => rounds.wake(),
  });
  return {
    ...rounds,
    get isIdle() {
      return emptyRounds > 0;
    },
    stop: async (graceMs = GRACE_MS) => {
      const reason = new Error("the mover stops");
      stop.abort(reason);
      const graceOver = setTimeout(() => cut.abort(reason), graceMs);
      await rounds.stop();
      clearTimeout(graceOver);
    },
  };
}

interface Moving extends MoverOptions {
  /** When it aborts, no other batch begins. */
  stop: AbortSignal;
  /** When it aborts, the running batch is given up. */
  cut: AbortSignal;
}

/** Stores one batch in the table of events; returns how many events were taken. */
async function storeInTable(
  id: number,
  source: SourceDefinition,
  options: MoverOptions,
): Promise<number> {
  const stored = await orPause(id, source, options, () => storeEvents(options.store, id, BATCH));
  return stored ? stored.taken : 0;
}

/** A fault of one source pauses only the storing of that source. Returns false then. */
async function orPause<T>(
  id: number,
  source: SourceDefinition,
  options: MoverOptions,
  run: () => Promise<T>,
): Promise<T | false> {
  try {
    return await run();
  } catch (thrown) {
    const error = translateDatabaseError(thrown);
    if (error.code === "database_unreachable") throw error;
    await pause(id, source, error, options);
    return false;
  }
}

/** Returns how many events have left the inbox. */
async function moveSource(
  { id, raw }: { id: number; raw: boolean },
  source: SourceDefinition,
  options: Moving,
): Promise<number> {
  const { stop } = options;
  if (raw && !stop.aborted) {
    const { payloadBytesMax } = options;
    const again = async () => {
      await decodeAgain(options.store, id, source, payloadBytesMax);
      return true;
    };
    if (!(await orPause(id, source, options, again))) return 0;
  }
  const { store } = source;
  const limit = store === null ? BATCH : source.storeBatch;
  const moveBatch = async () =>
    store === null
      ? storeInTable(id, source, options)
      : storeBatch(id, { ...source, store }, options);
  const lane = async () => {
    let moved = 0;
    for (let batch = 0; batch < BATCHES_A_TURN && !stop.aborted; batch += 1) {
      const taken = await moveBatch();
      moved += taken;
      if (taken < limit) break;
    }
    return moved;
  };
  const lanes = source.order === "source" ? 1 : LANES;
  const ended = await Promise.allSettled(Array.from({ length: lanes }, lane));
  let sum = 0;
  for (const one of ended) {
    if (one.status === "rejected") throw one.reason;
    sum += one.value;
  }
  return sum;
}
