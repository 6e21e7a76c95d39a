/**
 * The heart of a worker: claims into free slots, runs, and sends outcomes with the next claim, in a few turns at once.
 * It never holds more than it runs (no prefetch), and no outcome waits longer than LINGER_MS for company.
 */

import { backoffMs } from "../base/backoff.ts";
import type { PawlError } from "../base/errors.ts";
import type { Store } from "../store/store.ts";
import type { Candidate } from "./candidates.ts";
import { Claims } from "./claims.ts";
import type { Outcome } from "./outcome.ts";
import { Scout } from "./scout.ts";
import { Slots, type SlotsOptions, type TaskRow } from "./slots.ts";
import type { TurnRow } from "./sql.ts";
import { settleAndClaim, TurnFailed } from "./turn.ts";

/** How long an outcome or a free slot waits for others, while tasks still run. */
const LINGER_MS = 2;
const OUTCOMES_PER_TURN_MAX = 2_000;
const SHARDS_PER_TURN_MAX = 8;
/** A claim is not made smaller than this to leave slots to other turns: what a turn costs is mostly fixed. */
export const CLAIM_MIN = 50;

export interface PumpOptions extends Omit<SlotsOptions, "transactions" | "ended"> {
  store: Store;
  workerId: number;
  concurrency: number;
  /** Turns under way at once, each on a connection of its own. */
  turns: number;
  /** The streams to look for: those that nothing on this host holds. */
  streams: () => number[];
  queueRank: (stream: number) => number;
  /** A pool of its own for handlers' transactions. */
  transactionPool: Store;
  /** The lease is lost: `refused` outcomes will never be written. */
  lost: (error: PawlError, refused: number) => void;
  /** A turn's answer was lost: claims may be orphaned. */
  unknown: () => void;
  /** isWatched: its stream's breaker wants to know even of good ends. */
  ended: (outcome: Outcome, isWatched: boolean) => void;
  refused: (count: number) => void;
  becameIdle: () => void;
}

export class Pump {
  readonly #options: PumpOptions;
  readonly #scout: Scout;
  readonly #claims = new Claims();
  readonly #slots: Slots;
  #outcomes: Outcome[] = [];
  #gone: number[] = [];
  #turns = 0;
  /** Of these, turns that claim; and whether the last of them found less than it asked for. */
  #claiming = 0;
  #isShort = false;
  #reserved = 0;
  #sending = 0;
  #isAskingSolo = false;
  #claimedMax = Number.POSITIVE_INFINITY;
  #isClaiming = false;
  #isAborted = false;
  #isLost = false;
  #isLingerOver = false;
  #linger: NodeJS.Timeout | undefined;
  #step: NodeJS.Immediate | undefined;
  #failures = 0;
  #isHeldBack = false;
  #drained: (() => void)[] = [];

  constructor(options: PumpOptions) {
    this.#options = options;
    const { store, transactionPool: pool, workerId } = options;
    this.#slots = new Slots({
      ...options,
      transactions: { store, pool, workerId },
      ended: (outcome) => this.#ended(outcome),
    });
    this.#scout = new Scout({
      ...options,
      found: () => this.#schedule(),
      foundNothing: () => {
        if (this.isWaiting) options.becameIdle();
      },
    });
  }

  start(): void {
    this.#isClaiming = true;
    this.#scout.start();
  }

  /** There may be work: look now. */
  wake(): void {
    this.#scout.wake();
  }

  get running(): number {
    return this.#slots.count;
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  /** What is refused if the lease is lost now: what runs, what waits to be sent, and what is being sent. */
  get unrecorded(): number {
    return this.#slots.count + this.#outcomes.length + this.#sending;
  }

  /** Has a free slot and found nothing for it: wants to be told of new work. */
  get isWaiting(): boolean {
    return this.#isClaiming && this.#free > 0 && this.#scout.isInVain;
  }

  get isIdle(): boolean {
    return this.#isDrained && this.#scout.isInVain;
  }

  /** Claims no more than this many further tasks. */
  limit(tasks: number): void {
    this.#claimedMax = tasks;
  }

  get isLimitReached(): boolean {
    return this.#claimedMax <= 0;
  }

  known(): { known: number[]; next: number } {
    return this.#claims.known();
  }

  stopClaiming(): void {
    this.#isClaiming = false;
    void this.#scout.stop();
  }

  /** Resolves when nothing runs and every outcome is recorded. */
  async drained(): Promise<void> {
    if (this.#isDrained || this.#isLost) return;
    await new Promise<void>((resolve) => this.#drained.push(resolve));
  }

  /** Tells running tasks that somebody cancelled them. */
  cancel(ids: readonly string[]): void {
    this.#slots.cancel(ids);
  }

  /** Aborts what runs, and starts nothing more. Failures are no outcomes any more: the tasks are given back, uncounted. */
  abort(reason: PawlError): void {
    this.#isAborted = true;
    this.#slots.abort(reason);
    this.#afterChange();
  }

  /** Writes nothing from now on. */
  abandon(reason: PawlError): void {
    this.#isLost = true;
    this.stopClaiming();
    clearTimeout(this.#linger);
    clearImmediate(this.#step);
    this.abort(reason);
  }

  get #isDrained(): boolean {
    const nothingToSend = this.#outcomes.length === 0 && this.#gone.length === 0;
    return this.#slots.count === 0 && this.#turns === 0 && nothingToSend;
  }

  get #free(): number {
    const { concurrency } = this.#options;
    return Math.min(concurrency - this.#slots.count, this.#claimedMax) - this.#reserved;
  }

  get #mayTakeSolo(): boolean {
    return !this.#slots.hasSolo && !this.#isAskingSolo;
  }

  /** Where the last claim found less than it asked for, several at once would only share it. */
  #canClaim(): boolean {
    if (!this.#isClaiming || this.#free <= 0) return false;
    if (this.#isShort && this.#claiming > 0) return false;
    return this.#scout.hasWork(this.#mayTakeSolo);
  }

  /** Worth a turn now, or is there company to wait for? */
  #isTurnDue(): boolean {
    if (this.#isHeldBack) return false;
    const waiting = this.#outcomes.length + this.#gone.length;
    const canClaim = this.#canClaim();
    if (waiting === 0 && !canClaim) return false;
    if (this.#slots.count === 0 || this.#isLingerOver) return true;
    const enough = Math.max(1, this.#options.concurrency / 8);
    return waiting >= enough || (canClaim && this.#free >= enough);
  }

  #schedule(): void {
    this.#step ??= setImmediate(() => {
      this.#step = undefined;
      if (this.#isLost) return;
      while (this.#turns < this.#options.turns && this.#isTurnDue()) void this.#turn();
      this.#armLinger();
      if (this.#isClaiming && this.#free > 0 && !this.#scout.hasWork(true)) this.#scout.lookAgain();
    });
  }

  #armLinger(): void {
    if (this.#linger !== undefined || this.#isHeldBack) return;
    if (this.#outcomes.length + this.#gone.length === 0 && !this.#canClaim()) return;
    this.#linger = setTimeout(() => {
      this.#linger = undefined;
      this.#isLingerOver = true;
      this.#schedule();
    }, LINGER_MS);
  }

  async #turn(): Promise<void> {
    const outcomes = this.#outcomes.splice(0, OUTCOMES_PER_TURN_MAX);
    const over = this.#gone.splice(0);
    const gone = [...over, ...this.#claims.endedBy(outcomes)];
    const shards = this.#canClaim()
      ? this.#scout.shards(SHARDS_PER_TURN_MAX, this.#mayTakeSolo)
      : [];
    const share = Math.max(Math.ceil(this.#options.concurrency / this.#options.turns), CLAIM_MIN);
    const limit = shards.length === 0 ? 0 : Math.min(this.#free, share);
    const claim = this.#claims.ask();
    this.#isLingerOver = false;
    this.#turns += 1;
    if (limit > 0) this.#claiming += 1;
    this.#reserved += limit;
    this.#sending += outcomes.length;
    const solo = limit > 0 && this.#mayTakeSolo;
    if (solo) this.#isAskingSolo = true;
    try {
      const { store, workerId } = this.#options;
      const request = {
        worker: workerId,
        outcomes,
        gone,
        claim,
        limit,
        shards: shards.map((one) => one.shard),
        solo,
      };
      this.#succeeded(await settleAndClaim(store, request), request, shards);
    } catch (error) {
      this.#claims.unknown(claim);
      // the claims that end with its outcomes are found again when these are sent again
      if (error instanceof TurnFailed) this.#failed(error, over);
      else throw error;
    } finally {
      this.#turns -= 1;
      if (limit > 0) this.#claiming -= 1;
      this.#reserved -= limit;
      this.#sending -= outcomes.length;
      if (solo) this.#isAskingSolo = false;
      this.#afterChange();
    }
  }

  #succeeded(
    rows: TurnRow[],
    request: {
      outcomes: Outcome[];
      gone: number[];
      claim: number;
      limit: number;
    },
    tried: readonly Candidate[],
  ): void {
    this.#failures = 0;
    if (this.#isLost) return;
    this.#gone.push(...this.#claims.recorded(request.outcomes, request.gone));
    const tasks = rows.filter(isTask);
    const refused = rows.length - tasks.length;
    if (refused > 0) this.#options.refused(refused);
    this.#claims.answered(request.claim, tasks.length);
    if (request.limit > 0) {
      this.#isShort = tasks.length < request.limit;
      this.#scout.tried(tried, tasks, request.limit);
    }
    this.#claimedMax -= tasks.length;
    if (this.#isAborted) return; // claimed too late: they are given back with the worker's end
    for (const row of tasks) {
      const from = this.#scout.describe(row.shard_id);
      if (from !== undefined) this.#slots.run(row, request.claim, from);
    }
  }

  #ended(outcome: Outcome): void {
    if (outcome.ok && outcome.isSettled) this.#gone.push(...this.#claims.recorded([outcome], []));
    else this.#outcomes.push(outcome);
    this.#scout.freed(outcome.task);
    this.#options.ended(outcome, this.#scout.describe(outcome.task.shardId)?.isWatched ?? false);
    this.#afterChange();
  }

  #afterChange(): void {
    if (this.#isDrained || this.#isLost) {
      for (const resolve of this.#drained.splice(0)) resolve();
    }
    if (!this.#isLost) this.#schedule();
  }

  #failed({ error, unsettled, isLost }: TurnFailed, gone: readonly number[]): void {
    if (this.#isLost) return;
    if (isLost) {
      const refused = this.unrecorded;
      this.abandon(error);
      this.#options.lost(error, refused);
      return;
    }
    this.#outcomes.unshift(...unsettled);
    this.#gone.unshift(...gone);
    this.#failures += 1;
    this.#isHeldBack = true;
    this.#options.log.warn(
      { err: error.message, failures: this.#failures },
      "a turn failed, it is tried again",
    );
    this.#options.unknown();
    setTimeout(
      () => {
        this.#isHeldBack = false;
        this.#schedule();
      },
      backoffMs(this.#failures, { baseMs: 50, maxMs: 2_000 }),
    );
  }
}

function isTask(row: TurnRow): row is TaskRow {
  return row.shard_id !== null;
}
