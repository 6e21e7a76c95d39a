/** What a worker's runs read and write, many of them in one statement each. */

import { backoffMs } from "../../base/backoff.ts";
import { PawlError } from "../../base/errors.ts";
import { gather } from "../../base/gather.ts";
import type { Logger } from "../../base/log.ts";
import type { Fence } from "../../kernel/task.ts";
import type { Executor } from "../../store/executor.ts";
import { inParts } from "../../store/in-parts.ts";
import { isLockRefused } from "../../store/sqlstate.ts";
import type { Store } from "../../store/store.ts";
import {
  holdLoaded,
  type Loaded,
  loadRuns,
  type Recorded,
  recordSteps,
  type StepRecord,
} from "../sql.ts";
import { tellSent } from "./sent-event.ts";
import {
  type ItemRecord,
  type ItemResult,
  type ItemRow,
  itemResults,
  loadItems,
  recordItems,
} from "./sql.ts";
import { LASTING_MS, patience } from "./unrecorded.ts";

const BATCH = { most: 200, calls: 2 };
/** Tries between two lines of the log. */
const TOLD_EVERY = 10;
const AGAIN_MS = { baseMs: 50, maxMs: 2_000 };

/** Rows of one run: all are recorded, or none. */
export type Records = readonly [StepRecord, ...StepRecord[]];

export interface Recorder {
  /** @throws PawlError of the database */
  load(id: string): Promise<Loaded>;
  /**
   * Tries until the database takes it, or `signal` aborts: what a step has done outside is done. True: an operator holds the run behind it.
   * @throws PawlError `lease_lost` when the run is no longer this worker's, and nothing was recorded; that of the database if the values are
   * at fault, or if for a minute something else was that does not pass by itself
   */
  record(records: Records, signal: AbortSignal): Promise<boolean>;
  /** Holds a run that an operator wants held. False: he has let it go meanwhile. @throws PawlError of the database, `lease_lost` */
  hold(fence: Fence, at: { no: number; step: string }): Promise<boolean>;
  /** The same for an item of an `each`. */
  recordItem(item: ItemRecord, signal: AbortSignal): Promise<void>;
  /** How far the items of a list are. @throws PawlError of the database */
  items(id: string, no: number): Promise<ItemRow[]>;
  /** What they came to; none if that is larger than `bytesMax`. @throws PawlError of the database */
  results(list: { id: string; no: number; bytesMax: number }): Promise<ItemResult[]>;
}

/** @param lastingMs for tests */
export function recorderOn(executor: Store, log: Logger, lastingMs: number = LASTING_MS): Recorder {
  const load = gather((ids: string[]) => inParts(ids, (some) => loadRuns(executor, some)), BATCH);
  const write = gather((all: Records[]) => recordAll(executor, all), BATCH);
  const writeItem = gather((all: ItemRecord[]) => recordItemsOf(executor, all), BATCH);
  return {
    load: async (id) => {
      const answer = await load(id);
      if (answer instanceof PawlError) throw answer;
      return answer;
    },
    record: async (records, signal) => {
      const [{ fence, step }] = records;
      const run = fence.id;
      const alone = (one: Records) => recordAll(executor, [one]);
      const ways = { write, alone, log, run, lastingMs };
      const what = await recorded(records, ways, signal);
      if (what === "lost") throw lost(fence.id, `step "${step}"`);
      await tellSent(executor, records);
      return what === "held";
    },
    hold: async (fence, at) => {
      const what = await holdLoaded(executor, fence, at);
      if (what === "held" || what === "released") return what === "held";
      throw lost(fence.id, "its hold");
    },
    recordItem: async (item, signal) => {
      const alone = (one: ItemRecord) => recordItemsOf(executor, [one]);
      const ways = { write: writeItem, alone, log, run: item.fence.id, lastingMs };
      if ((await recorded(item, ways, signal)) !== "lost") return;
      throw lost(item.fence.id, `item ${item.item}`);
    },
    items: (id, no) => loadItems(executor, id, no),
    results: (list) => itemResults(executor, list),
  };
}

type Answer = Recorded | PawlError;

interface Ways<T> {
  /** Together with others. */
  write: (one: T) => Promise<Answer>;
  alone: (one: T) => Promise<Answer[]>;
  log: Logger;
  /** Whose it is, for the log. */
  run: string;
  lastingMs: number;
}

async function recorded<T>(
  one: T,
  { write, alone, log, run, lastingMs }: Ways<T>,
  signal: AbortSignal,
): Promise<Recorded> {
  const mayBeTaken = patience(lastingMs);
  let answer = await write(one);
  for (let tries = 1; ; tries += 1) {
    if (typeof answer === "string") return answer;
    if (signal.aborted || !mayBeTaken(answer)) throw answer;
    if (tries % TOLD_EVERY === 0) {
      const data = { run, tries, err: answer.message };
      log.warn(data, "the end of a step cannot be recorded yet, it is tried again");
    }
    await new Promise((resolve) => setTimeout(resolve, backoffMs(tries, AGAIN_MS)));
    // one whose lock somebody holds does not hold up the others again
    answer = isLockRefused(answer) ? ((await alone(one))[0] ?? answer) : await write(one);
  }
}

function lost(id: string, what: string): PawlError {
  return new PawlError(
    "lease_lost",
    `run ${id}: no longer this worker's, so nothing of ${what} was recorded`,
  );
}

async function itemsOfOne(
  executor: Executor,
  some: readonly ItemRecord[],
): Promise<Recorded[] | undefined> {
  const worker = some[0]?.fence.worker;
  if (some.some(({ fence }) => fence.worker !== worker)) return undefined;
  return recordItems(executor, some);
}

function recordItemsOf(executor: Executor, all: readonly ItemRecord[]): Promise<Answer[]> {
  return inParts(all, (some) => itemsOfOne(executor, some));
}

/** Of one worker at a time: one that lost its lease has another number. */
function recordAll(executor: Executor, all: readonly Records[]): Promise<Answer[]> {
  return inParts(all, async (some) => {
    const worker = some[0]?.[0].fence.worker;
    if (some.some(([{ fence }]) => fence.worker !== worker)) return undefined;
    return recordSteps(executor, some);
  });
}
