/**
 * The heart of a worker: claims into free slots, runs, and sends outcomes with the next claim, in a few turns at once.
 * It never holds more than it runs (no prefetch), and no outcome waits longer than LINGER_MS for company.
 */

import type { PawlError } from "../base/errors.ts";
import type { Store } from "../store/store.ts";
import { Aside } from "./aside.ts";
import type { Candidate, NextShards, Room } from "./candidates.ts";
import { Claims } from "./claims.ts";
import { hearFates, type WorkObserver } from "./heard.ts";
import { Holds } from "./holds.ts";
import type { Fate, Outcome } from "./outcome.ts";
import { Scout, type ScoutOptions } from "./scout.ts";
import { Setbacks } from "./setbacks.ts";
import { Shares } from "./shares.ts";
import { isTask, Slots, type SlotsOptions } from "./slots.ts";
import type { TurnRequest, TurnRow } from "./sql.ts";
import type { ClaimedTask } from "./task.ts";
import { type Dropped, letGo, settleAndClaim, tellDropped, without } from "./turn.ts";
import { type TurnFailed, turnFailed } from "./turn-failed.ts";

const LINGER_MS = 2; // an outcome or a free slot waits so long for others, while tasks still run
const OUTCOMES_PER_TURN_MAX = 2_000;
const SHARDS_PER_TURN_MAX = 8;
/** A claim is not made smaller than this to leave slots for other turns: the cost of a turn is mostly fixed. */
export const CLAIM_MIN = 50;

export interface PumpOptions
  extends Omit<SlotsOptions, "transactions" | "mayGoOn" | "ended" | "suspectCleared">,
    Pick<ScoutOptions, "fair"> {
  store: Store;
  workerId: number;
  concurrency: number;
  /** Maximum number of turns at once, each on its own connection. */
  turns: number;
  /** A claim may be this large in any case; default CLAIM_MIN. */
  claimMin?: number;
  /** The streams to look for: those that nothing on this host holds. */
  streams: () => number[];
  /** False when something on this host holds the stream. */
  isOpen: (stream: number) => boolean;
  queueRank: (stream: number) => number;
  hasBreaker?: (stream: number) => boolean;
  /** A pool of its own for handlers' transactions. */
  transactionPool: Store;
  observer?: WorkObserver | undefined;
  /** The lease is lost: `refused` outcomes will never be written. */
  lost: (error: PawlError, refused: number) => void;
  /** The lease has not run out, by this process's own clock: it may have slept. */
  mayStart: () => boolean;
  /** A turn's answer was lost, or came too late: claims may be orphaned. */
  unknown: () => void;
  began?: (task: ClaimedTask) => void;
  /** isWatched: the breaker of its stream counts successes too. */
  ended: (outcome: Outcome, isWatched: boolean) => void;
  refused: (count: number) => void;
  becameIdle: () => void;
}

export class Pump {
  readonly #options: PumpOptions;
  readonly #scout: Scout;
  readonly #claims = new Claims();
  readonly #holds = new Holds();
  readonly #setbacks = new Setbacks();
  readonly #slots: Slots;
  readonly #shares: Shares;
  readonly #aside: Aside;
  #outcomes: Outcome[] = [];
  #gone: number[] = [];
  readonly #underWay = new Set<Promise<void>>();
  #turns = 0;
  /** How many of these turns claim; and whether the last claim found less than it asked for. */
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
  #drained: (() => void)[] = [];

  constructor(options: PumpOptions) {
    this.#options = options;
    const { store, transactionPool: pool, workerId } = options;
    this.#slots = new Slots({
      ...options,
      transactions: { store, pool, workerId },
      mayGoOn: (task) => this.#mayGoOn(task),
      ended: (outcome) => this.#ended(outcome),
      suspectCleared: () => this.#schedule(),
    });
    this.#shares = new Shares({
      slots: options.concurrency,
      isGuarded: (stream) => options.hasBreaker?.(stream) ?? false,
      now: () => performance.now(),
    });
    const settled = (outcomes: readonly Outcome[], refused: number) => {
      this.#gone.push(...this.#claims.recorded(outcomes, []));
      if (refused > 0) options.refused(refused);
      this.#afterChange();
    };
    this.#aside = new Aside({ ...options, settled });
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
    return this.#slots.count + this.#outcomes.length + this.#aside.count + this.#sending;
  }

  /** True if a slot is free and no work was found for it: the worker wants notifications. */
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

  /** The streams that have work and have used up their share of the slots. */
  full(): number[] {
    const rooms = this.#rooms();
    return [...this.#scout.waiting].filter((stream) => rooms(stream) <= 0);
  }

  stopClaiming(): void {
    this.#isClaiming = false;
    this.#scout.stop().catch(() => undefined);
  }

  /** Of what has been claimed of these streams so far, nothing starts a further step. */
  hold(streams: readonly number[]): void {
    this.#holds.hold(streams, this.#claims.last);
  }

  #mayGoOn(task: ClaimedTask): boolean {
    const { mayStart, isOpen } = this.#options;
    return this.#isClaiming && mayStart() && isOpen(task.streamId) && !this.#holds.isHeld(task);
  }

  /** Resolves when all turns that are under way now have been answered: what they claimed has started. */
  async answered(): Promise<void> {
    await Promise.allSettled(this.#underWay);
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

  /** Aborts what runs, and starts nothing more. Failures no longer count as outcomes: the tasks are given back, uncounted. */
  abort(reason: PawlError): void {
    this.#isAborted = true;
    this.#slots.abort(reason);
    this.#afterChange();
  }

  /** Writes nothing from now on. */
  abandon(reason: PawlError): void {
    this.#isLost = true;
    this.stopClaiming();
    this.#aside.stop();
    clearTimeout(this.#linger);
    clearImmediate(this.#step);
    this.abort(reason);
  }

  get #isDrained(): boolean {
    const toSend = this.#outcomes.length + this.#aside.count + this.#gone.length;
    return this.#slots.count + this.#turns + toSend === 0;
  }

  get #free(): number {
    const { concurrency } = this.#options;
    return Math.min(concurrency - this.#slots.count, this.#claimedMax) - this.#reserved;
  }

  #rooms(): Room {
    return this.#shares.rooms(() => this.#scout.waiting);
  }

  get #mayTakeSolo(): boolean {
    return !this.#slots.isWatching && !this.#isAskingSolo;
  }

  /** If the last claim found less than it asked for, several claims at once would only share the rest. */
  #canClaim(): boolean {
    if (!this.#isClaiming || this.#free <= 0) return false;
    if (this.#isShort && this.#claiming > 0) return false;
    return this.#scout.hasRoom(this.#mayTakeSolo, this.#rooms());
  }

  /** True if a turn should be sent now, false if more outcomes are worth waiting for. */
  #isTurnDue(): boolean {
    if (this.#setbacks.isPaused) return false;
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
      while (this.#turns < this.#options.turns && this.#isTurnDue()) this.#begin();
      this.#armLinger();
      if (this.#isClaiming && this.#free > 0 && !this.#scout.hasWork(true)) this.#scout.lookAgain();
    });
  }

  #armLinger(): void {
    if (this.#linger !== undefined || this.#setbacks.isPaused) return;
    if (this.#outcomes.length + this.#gone.length === 0 && !this.#canClaim()) return;
    this.#linger = setTimeout(() => {
      this.#linger = undefined;
      this.#isLingerOver = true;
      this.#schedule();
    }, LINGER_MS);
  }

  #next(): NextShards {
    if (!this.#canClaim()) return { shards: [], limit: 0 };
    const { concurrency, turns } = this.#options;
    const most = Math.max(Math.ceil(concurrency / turns), this.#options.claimMin ?? CLAIM_MIN);
    const limit = Math.min(this.#free, most);
    return this.#scout.next(SHARDS_PER_TURN_MAX, limit, this.#mayTakeSolo, this.#rooms());
  }

  #begin(): void {
    const turn = this.#turn().finally(() => this.#underWay.delete(turn));
    this.#underWay.add(turn);
  }

  async #turn(): Promise<void> {
    const outcomes = this.#outcomes.splice(0, OUTCOMES_PER_TURN_MAX);
    const over = this.#gone.splice(0);
    const gone = [...over, ...this.#claims.endedBy(outcomes)];
    const { shards, limit } = this.#next();
    const streams = new Set(shards.map((one) => one.stream));
    const claim = this.#claims.ask();
    this.#isLingerOver = false;
    this.#turns += 1;
    if (limit > 0) this.#claiming += 1;
    this.#reserved += limit;
    this.#shares.asked(streams, limit);
    this.#sending += outcomes.length;
    const solo = limit > 0 && this.#mayTakeSolo;
    if (solo) this.#isAskingSolo = true;
    const sentAt = performance.now();
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
        moved: new Set<number>(),
        told: (fates: readonly Fate[]) => hearFates(fates, this.#options),
      };
      const held = new Set<Outcome>();
      const dropped: Dropped = new Map();
      const rows = await settleAndClaim(store, { ...request, held, dropped });
      this.#aside.add(held);
      tellDropped(this.#options.log, dropped);
      this.#succeeded(rows, without(without(request, held), dropped), shards);
    } catch (error) {
      this.#claims.unknown(claim);
      // the claims that end with its outcomes are found again when these are sent again
      this.#failed(turnFailed(error), over, sentAt);
    } finally {
      this.#turns -= 1;
      if (limit > 0) this.#claiming -= 1;
      this.#reserved -= limit;
      this.#shares.asked(streams, -limit);
      this.#sending -= outcomes.length;
      if (solo) this.#isAskingSolo = false;
      this.#afterChange();
    }
  }

  #succeeded(rows: TurnRow[], request: TurnRequest, tried: readonly Candidate[]): void {
    this.#setbacks.over();
    if (this.#isLost) return;
    this.#gone.push(...this.#claims.recorded(request.outcomes, request.gone));
    const tasks = rows.filter(isTask);
    const refused = rows.length - tasks.length;
    if (refused > 0) this.#options.refused(refused);
    if (request.limit > 0) {
      this.#isShort = tasks.length < request.limit;
      this.#scout.tried(tried, tasks, request);
    }
    this.#claims.answered(request.claim, tasks.length);
    this.#claimedMax -= tasks.length;
    if (this.#isAborted) return; // claimed too late: they are given back with the worker's end
    for (const row of tasks) {
      if (!this.#options.mayStart()) {
        this.#claims.unknown(request.claim);
        this.#options.unknown();
        return;
      }
      const from = this.#scout.describe(row.shard_id);
      const task = from && this.#slots.run(row, request.claim, from);
      if (task === undefined) continue;
      this.#shares.began(task.streamId, task.seq);
      this.#options.began?.(task);
    }
  }

  #ended(outcome: Outcome): void {
    if (outcome.ok && outcome.isSettled) this.#gone.push(...this.#claims.recorded([outcome], []));
    else this.#outcomes.push(outcome);
    const { streamId, seq } = outcome.task;
    this.#shares.ended(streamId, seq, outcome.ok || outcome.isReceiverUp === true);
    this.#scout.freed(outcome.task);
    this.#options.ended(outcome, this.#scout.describe(outcome.task.shardId)?.isWatched ?? false);
    this.#afterChange();
  }

  #afterChange(): void {
    if (this.#isDrained || this.#isLost) for (const resolve of this.#drained.splice(0)) resolve();
    if (!this.#isLost) this.#schedule();
  }

  #failed({ error, unsettled, isLost }: TurnFailed, gone: readonly number[], sentAt: number): void {
    if (this.#isLost) return;
    if (isLost || this.#setbacks.isStuckAfter(sentAt)) {
      const refused = this.unrecorded;
      const reason = isLost ? error : letGo(error);
      this.abandon(reason);
      this.#options.lost(reason, refused);
      return;
    }
    this.#outcomes.unshift(...unsettled);
    this.#gone.unshift(...gone);
    this.#setbacks.pause(() => this.#schedule());
    this.#options.log.warn(
      { err: error.message, failures: this.#setbacks.count },
      "a turn failed, it is tried again",
    );
    this.#options.unknown();
  }
}
