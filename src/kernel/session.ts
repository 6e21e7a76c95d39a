/**
 * One registration of a worker: its row, its lease, its pump. A session that lost its lease is over and writes nothing;
 * the worker starts a new one.
 */

import type { PawlError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { type Loop, loop } from "../base/loop.ts";
import { messageOf } from "../base/thrown.ts";
import { unheard } from "../base/unheard.ts";
import { translateDatabaseError } from "../store/sqlstate.ts";
import type { Store } from "../store/store.ts";
import { BreakerReports } from "./breaker/reports.ts";
import type { FailureKind, Outcome } from "./outcome.ts";
import { Progress } from "./progress.ts";
import { Pump, type PumpOptions } from "./pump.ts";
import { QuietAhead } from "./quiet/quiet-ahead.ts";
import {
  endWorker,
  heartbeat,
  offStreams,
  seeOff,
  setIdle,
  startWorker,
  type TallyRow,
  type WorkerInfo,
} from "./sql.ts";

/** The lease is 10 s (`pawl.lease_length()`): two heartbeats may fail before it runs out. */
const HEARTBEAT_MS = 3_000;
/** Until the database says how long it is. */
const LEASE_MS_DEFAULT = 10_000;
/** The idle flag changes at most this often: its row must not pile up versions. */
const IDLE_FLAG_MS = 1_000;

/** How long a stopping worker waits for the database after its grace, in total; and for each wait once that is used up. */
export const LAST_WORDS_MS = 3_000;
const LAST_WORD_MS_MIN = 300;
/** These waits are counted in steps of this length. */
const STEP_MS = 100;

const RETRIED: ReadonlySet<FailureKind> = new Set(["retry", "timeout", "recoverable"]);
const DEAD: ReadonlySet<FailureKind> = new Set(["unrecoverable", "invalid", "stop"]);

export interface SessionOptions
  extends Pick<
    PumpOptions,
    | "store"
    | "concurrency"
    | "turns"
    | "claimMin"
    | "handlers"
    | "queueRank"
    | "fair"
    | "resultBytesMax"
    | "transactionPool"
    | "log"
    | "observer"
    | "leftMs"
  > {
  info: WorkerInfo;
  /** Scopes that are held on this host now. */
  offHere: () => readonly string[];
  /** The streams that can be run, except those of these scopes. */
  openStreams: (offHere: readonly string[]) => number[];
  /** All scopes that hold a stream. */
  scopesOf: (stream: number) => readonly string[];
  /** Whether none of these scopes holds a stream. */
  isOpen: (stream: number, offHere: readonly string[]) => boolean;
  hasBreaker: (stream: number) => boolean;
  /** Resolves when what the worker's other loops were about to start has started. */
  started: () => Promise<void>;
  /** The lease is lost; the session has ended. */
  lost: (error: PawlError, refused: number) => void;
  stopRequested: () => void;
  ended: (outcome: Outcome) => void;
}

export class Session {
  readonly workerId: number;
  readonly pump: Pump;
  readonly #store: Store;
  readonly #log: Logger;
  readonly #options: SessionOptions;
  readonly #heartbeats: Loop;
  readonly #idleFlag: Loop;
  readonly #progress: Progress;
  readonly #breakers: BreakerReports;
  readonly #quiet: QuietAhead;
  #tally = new Map<number, TallyRow>();
  #refused = 0;
  #isFlaggedIdle = false;
  #wasIdle = false;
  #told: ReturnType<typeof toldBy>;
  /** When the last granted renewal of the lease was requested, by this process's steady clock. */
  #grantedAt: number;
  #leaseMs = LEASE_MS_DEFAULT;
  /** The value of `pawl.off_epoch`. */
  #offSeen = 0n;

  static async start(options: SessionOptions): Promise<Session> {
    const askedAt = performance.now();
    const workerId = await startWorker(options.store, options.info);
    const session = new Session(workerId, askedAt, options);
    await session.#quiet.refresh().catch(() => undefined); // its loop tries again at once, and the gate knows them anyway
    session.#quiet.start();
    session.#heartbeats.start();
    session.#idleFlag.start();
    session.#progress.start();
    session.#breakers.start();
    session.pump.start();
    return session;
  }

  private constructor(workerId: number, askedAt: number, options: SessionOptions) {
    this.workerId = workerId;
    this.#grantedAt = askedAt;
    this.#options = options;
    this.#store = options.store;
    this.#log = options.log;
    this.#progress = new Progress(options.store, workerId, (error) =>
      this.#log.warn({ err: messageOf(error) }, "writing progress failed"),
    );
    this.#breakers = new BreakerReports(options);
    this.#quiet = new QuietAhead(options);
    this.#told = toldBy(options.info.streams, options.info.off_here, []);
    this.pump = new Pump({
      ...options,
      workerId,
      streams: () => options.openStreams(options.offHere()),
      isOpen: (stream) => options.isOpen(stream, options.offHere()),
      lost: (error, refused) => this.#lost(error, refused),
      mayStart: () => this.mayStart,
      quietMs: (task, takesMs) => this.#quiet.heldMs(options.scopesOf(task.streamId), takesMs),
      unknown: () => this.#heartbeats.wake(),
      progressed: (task, value) => this.#progress.say(task, value),
      began: (task) => this.#breakers.began(task, options.handlers.get(task.streamId)),
      ended: (outcome, isWatched) => this.#ended(outcome, isWatched),
      refused: (count) => this.#countRefused(count),
      becameIdle: () => {
        this.#wasIdle = true;
        if (!this.#isFlaggedIdle) this.#idleFlag.wake();
      },
    });
    const failed = (error: unknown) => this.#heartbeatFailed(error);
    this.#heartbeats = loop({ runOnce: () => this.#beat(), failed, gapMs: 100 });
    this.#idleFlag = loop({
      runOnce: () => this.#flagIdle(),
      failed: () => undefined,
      gapMs: IDLE_FLAG_MS,
    });
  }

  get isFlaggedIdle(): boolean {
    return this.#isFlaggedIdle;
  }

  /**
   * Finishes what runs, at most `graceMs`; the rest is given back, uncounted. Returns how many were. Whoever waits for the
   * worker's end also waits for `others` of it.
   */
  async stop(graceMs: number, reason: PawlError, others?: Promise<unknown>): Promise<number> {
    this.pump.stopClaiming();
    let awakeMs = graceMs + LAST_WORDS_MS;
    let isWaitingForOthers = false; // which takes nothing from the time for the database
    const steps = setInterval(() => {
      if (!isWaitingForOthers) awakeMs -= STEP_MS;
    }, STEP_MS);
    const leftMs = () => Math.max(awakeMs, LAST_WORD_MS_MIN);
    try {
      const idleFlag = this.#idleFlag.stop();
      let timer: NodeJS.Timeout | undefined;
      const graceOver = new Promise<void>((resolve) => {
        timer = setTimeout(() => {
          this.pump.abort(reason);
          resolve();
        }, graceMs);
      });
      await Promise.race([this.pump.drained(), graceOver]);
      clearTimeout(timer);
      await within(leftMs(), this.pump.drained());
      isWaitingForOthers = true;
      await others;
      isWaitingForOthers = false;
      const loops = [
        this.#heartbeats.stop(),
        this.#progress.stop(),
        this.#breakers.stop(),
        this.#quiet.stop(),
      ];
      await within(leftMs(), Promise.all([idleFlag, ...loops]));
      const givenBack = await within(leftMs(), this.#sayGoodbye());
      this.pump.abandon(reason); // what could not be recorded would be tried for ever
      return givenBack;
    } finally {
      clearInterval(steps);
    }
  }

  /** Without a database there is nobody to tell: the lease will run out, and the tasks are rescued. */
  async #sayGoodbye(): Promise<number> {
    try {
      await this.#beat(); // the last counts
      return await endWorker(this.#store, this.workerId);
    } catch (error) {
      this.#log.warn(
        { worker: this.workerId, err: messageOf(error) },
        "could not sign off, the lease will run out",
      );
      return 0;
    }
  }

  /** Ends without telling the database: the lease is lost, or the process must go. */
  async abandon(reason: PawlError): Promise<void> {
    this.pump.abandon(reason);
    const loops = [this.#heartbeats, this.#idleFlag, this.#progress, this.#breakers, this.#quiet];
    await Promise.all(loops.map((one) => one.stop()));
  }

  /** Tells the database at once what this worker can run and what is held here, and hears what was cancelled. */
  beat(): void {
    this.#heartbeats.wake();
  }

  /** Something was turned off: told when nothing that was claimed before is still to start, nor a further step of it. */
  async #offHeard(epoch: string): Promise<void> {
    if (BigInt(epoch) <= this.#offSeen) return;
    this.#offSeen = BigInt(epoch);
    this.pump.hold(await offStreams(this.#store, this.#options.openStreams([])));
    await this.#quiet.refresh();
    await Promise.all([this.pump.answered(), this.#options.started()]);
    await seeOff(this.#store, this.workerId, epoch);
  }

  /** The lease has not run out, by this process's own clock. */
  get mayStart(): boolean {
    return performance.now() - this.#grantedAt < this.#leaseMs;
  }

  async #beat(): Promise<number> {
    const tally = this.#tally;
    const refused = this.#refused;
    this.#tally = new Map();
    this.#refused = 0;
    const streams = this.#options.openStreams([]);
    const offHere = this.#options.offHere();
    const full = this.pump.full();
    const told = toldBy(streams, offHere, full);
    const askedAt = performance.now();
    const answer = await heartbeat(this.#store, {
      worker: this.workerId,
      ...this.pump.known(),
      running: this.pump.running,
      refused,
      tally: [...tally.values()],
      streams: told.streams === this.#told.streams ? null : streams,
      offHere: told.offHere === this.#told.offHere ? null : offHere,
      full: told.full === this.#told.full ? null : full,
    }).catch((error: unknown) => {
      this.#refused += refused; // to be told with the next one
      for (const row of tally.values()) this.#count(row.stream_id, row);
      throw error;
    });
    this.#told = told;
    if (!answer.is_tallied) for (const row of tally.values()) this.#count(row.stream_id, row);
    this.#grantedAt = askedAt;
    this.#leaseMs = answer.lease_ms;
    this.#offHeard(answer.off_epoch).catch(() => {
      this.#offSeen = 0n; // the next heartbeat tells it again
    });
    if (answer.cancelled !== null) this.pump.cancel(answer.cancelled);
    if (answer.orphans > 0) {
      this.#log.warn(
        { worker: this.workerId, tasks: answer.orphans },
        "gave back tasks whose claim's answer was lost",
      );
      this.pump.wake();
    }
    if (answer.stop_requested) this.#options.stopRequested();
    return HEARTBEAT_MS;
  }

  #heartbeatFailed(thrown: unknown): void {
    const error = translateDatabaseError(thrown);
    if (error.code === "lease_lost" || !this.mayStart) {
      if (this.pump.isLost) return; // a turn has found it out before
      const refused = this.pump.unrecorded;
      this.pump.abandon(error);
      this.#lost(error, refused);
    } else {
      this.#log.warn(
        { worker: this.workerId, err: error.message },
        "a heartbeat failed, it is tried again",
      );
    }
  }

  #lost(error: PawlError, refused: number): void {
    for (const one of [
      this.#heartbeats,
      this.#idleFlag,
      this.#progress,
      this.#breakers,
      this.#quiet,
    ])
      unheard(() => one.stop());
    this.#options.lost(error, refused + this.#refused);
  }

  #ended(outcome: Outcome, isWatched: boolean): void {
    this.#breakers.note(outcome, isWatched);
    this.#count(outcome.task.streamId, {
      done: outcome.ok ? 1 : 0,
      retried: !outcome.ok && RETRIED.has(outcome.kind) ? 1 : 0,
      dead: !outcome.ok && DEAD.has(outcome.kind) ? 1 : 0,
    });
    this.#options.ended(outcome);
  }

  #count(stream: number, more: Omit<TallyRow, "stream_id">): void {
    const row = this.#tally.get(stream) ?? { stream_id: stream, done: 0, retried: 0, dead: 0 };
    row.done += more.done;
    row.retried += more.retried;
    row.dead += more.dead;
    this.#tally.set(stream, row);
  }

  #countRefused(count: number): void {
    this.#refused += count;
    this.#log.warn(
      { worker: this.workerId, outcomes: count },
      "outcomes were refused: the tasks were no longer this worker's",
    );
  }

  async #flagIdle(): Promise<number> {
    const isIdle = this.#wasIdle || this.pump.isWaiting;
    this.#wasIdle = false;
    if (isIdle !== this.#isFlaggedIdle) {
      await setIdle(this.#store, this.workerId, isIdle);
      this.#isFlaggedIdle = isIdle;
    }
    return IDLE_FLAG_MS;
  }
}

function toldBy(
  streams: readonly number[],
  offHere: readonly string[],
  full: readonly number[],
): { streams: string; offHere: string; full: string } {
  return { streams: streams.join(), offHere: offHere.join(), full: full.join() };
}

/** Returns what `promise` resolves to, or 0 after `timeoutMs`, counted in steps: a frozen process uses up one step only. */
export async function within<T>(timeoutMs: number, promise: Promise<T>): Promise<T | 0> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<0>((resolve) => {
    const wait = (leftMs: number) => {
      const stepMs = Math.min(leftMs, STEP_MS);
      timer = setTimeout(() => (leftMs > stepMs ? wait(leftMs - stepMs) : resolve(0)), stepMs);
    };
    wait(timeoutMs);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
