/**
 * A worker process: sessions one after the other (a new one when a lease was lost), the keeper's loops, and a LISTEN
 * connection that wakes them early.
 */

import { hostname } from "node:os";
import { backoffMs } from "../base/backoff.ts";
import { PawlError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { type Loop, loop } from "../base/loop.ts";
import { messageOf } from "../base/thrown.ts";
import { type Listener, listen } from "../store/notify.ts";
import type { Store } from "../store/store.ts";
import { type Serving, tell, type WorkObserver } from "./heard.ts";
import { type Keeper, keeper } from "./keeper.ts";
import type { LocalSwitches } from "./local-switches.ts";
import type { FailureKind, Outcome } from "./outcome.ts";
import { pruner } from "./pruner.ts";
import { CLAIM_MIN } from "./pump.ts";
import { LAST_WORDS_MS, Session, within } from "./session.ts";
import { type Starting, Starts } from "./starts.ts";
import { Streams, type StreamsOptions } from "./streams.ts";
import { IS_WORK_SEEN } from "./watch/sql.ts";
import { type Question, Watch } from "./watch/watch.ts";

const RETRY_START_MS = { baseMs: 200, maxMs: 5_000 };

/** How soon a stream that is new in the catalogue is seen. */
const STREAMS_MS = 5_000;
const FAILED: ReadonlySet<string> = new Set<FailureKind>([
  "retry",
  "timeout",
  "unrecoverable",
  "invalid",
]);
const NOTHING = { jobs: [], destinations: [], sources: [], stores: [] };
/** How soon a switch on this host is seen. */
const LOCAL_SWITCHES_MS = 1_000;

export interface WorkerOptions extends StreamsOptions {
  store: Store;
  application: string;
  revision: number;
  /** Maximum number of tasks that run at once. */
  concurrency: number;
  /** Maximum number of turns at once; each takes a connection of the pool. */
  turns: number;
  /** Ends the worker after this many tasks. */
  limit?: number | undefined;
  /** Ends it after this time: no step starts that could last longer. */
  timeLimitMs?: number | undefined;
  /** Ends it after this many attempts that failed. */
  failureLimit?: number | undefined;
  /** How often it asks for work while it is idle; default 1 s. For the fleet's chores it asks at least every second. */
  pollMs?: number | undefined;
  resultBytesMax: number;
  /** A pool of its own for handlers' transactions: its size bounds how many are open. */
  transactionPool: Store;
  localSwitches: LocalSwitches;
  log: Logger;
  observer?: WorkObserver | undefined;
  /** What it serves, for people. */
  serving?: Omit<Serving, "concurrency" | "application">;
  /** Further loops that a part needs in every worker, such as the router. */
  loops?: (kernel: WorkerView) => Loop[];
  /** What these loops take up, for lists and `why`: `source:<name>`, `inbox:<name>`. */
  serves?: readonly string[];
}

/** What made a worker want to stop: an operator's request to the fleet, its number of tasks or of failures, or its time. */
export type StopWanted = "request" | "limit" | "failure limit" | "time limit";

/** What further loops see of their worker. */
export interface WorkerView {
  readonly isIdle: () => boolean;
  /** Look for tasks now. */
  readonly wake: () => void;
  /** Asks every `pollMs`, so that a loop need not. */
  readonly watch: (question: Question) => void;
  /** The scopes that a file or a variable holds on this host, at most a second old. */
  readonly offHere: () => readonly string[];
  /**
   * Call it before asking whether something may start; call what it returns right before the start, or when nothing starts.
   * That returns false if the lease was lost meanwhile: then nothing may start.
   */
  readonly starting: Starting;
}

export class Worker {
  readonly #options: WorkerOptions;
  readonly #keeper: Keeper;
  readonly #loops: Loop[];
  /** Loops that a wake-up also wakes. */
  readonly #hastened: Loop[];
  readonly #streams: Streams;
  readonly #starts = new Starts();
  #session: Session | undefined;
  #offHere: readonly string[] = [];
  #listener: Listener | undefined;
  #isStopping = false;
  #isOver = false;
  #stopped: Promise<number> | undefined;
  /** Of a new session, after a lease was lost. */
  #registering: Promise<void> | undefined;
  #registerTimer: NodeJS.Timeout | undefined;
  #refused = 0;
  #failures = 0;
  #stopWanted: ((why: StopWanted) => void) | undefined;
  /** Resolves when a person asked the fleet to stop, or a limit is reached. */
  readonly stopWanted: Promise<StopWanted>;
  /** By this process's steady clock. */
  #endsAt = Number.POSITIVE_INFINITY;
  #endTimer: NodeJS.Timeout | undefined;

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.stopWanted = new Promise((resolve) => {
      this.#stopWanted = resolve;
    });
    const watch = new Watch(options);
    const kernel: WorkerView = {
      isIdle: () => this.#session?.isFlaggedIdle ?? false,
      wake: () => this.#session?.pump.wake(),
      watch: (question) => watch.add(question),
      offHere: () => this.#offHere,
      starting: () => this.#starting(),
    };
    this.#keeper = keeper({
      store: options.store,
      log: options.log,
      observer: options.observer,
      ...kernel,
    });
    this.#streams = new Streams(options);
    const streamsLoop = loop({
      runOnce: async () => {
        if (await this.#streams.refresh(options.store)) kernel.wake();
        return STREAMS_MS;
      },
      failed: (error) => options.log.warn({ err: messageOf(error) }, "reading the streams failed"),
    });
    const switchesLoop = loop({
      runOnce: () => this.#readLocalSwitches(),
      failed: (error) =>
        options.log.warn({ err: messageOf(error) }, "reading the switch files failed"),
    });
    kernel.watch({
      sql: IS_WORK_SEEN,
      value: () => this.streams,
      yes: () => kernel.wake(),
    });
    const owner = `${options.application} ${hostname()} ${process.pid}`;
    const retention = pruner({ store: options.store, owner, log: options.log });
    this.#hastened = [streamsLoop, ...(options.loops?.(kernel) ?? [])];
    this.#loops = [switchesLoop, retention, watch.loop, ...this.#hastened];
  }

  /** @throws PawlError when the first registration fails; later ones are tried again for ever */
  async start(): Promise<void> {
    const { store, log, timeLimitMs } = this.#options;
    this.#offHere = await this.#options.localSwitches.read();
    if (timeLimitMs !== undefined) this.#endsAt = performance.now() + timeLimitMs;
    this.#session = await this.#register();
    if (timeLimitMs !== undefined)
      this.#endTimer = setTimeout(() => this.#stopWanted?.("time limit"), timeLimitMs);
    this.#keeper.start();
    for (const one of this.#loops) one.start();
    this.#listener = listen({
      url: store.url,
      channel: `${store.schema}.wake`,
      log,
      heard: (payload) => this.#heard(payload),
    });
  }

  get id(): number | undefined {
    return this.#session?.workerId;
  }

  /** Nothing runs, nothing is to be recorded, and the last look found nothing. */
  get isIdle(): boolean {
    return this.#session?.pump.isIdle ?? false;
  }

  /** The streams that it can run, as far as it knows now, and that nothing on this host holds. */
  get streams(): number[] {
    return this.#streams.open(this.#offHere);
  }

  /** It has a lease and takes tasks. False while the database cannot be reached, and once it stops. */
  get isReady(): boolean {
    return !this.#isStopping && (this.#session?.mayStart ?? false);
  }

  get running(): number {
    return this.#session?.pump.running ?? 0;
  }

  /** Look for work now. */
  wake(): void {
    this.#session?.pump.wake();
    this.#keeper.wake();
    for (const one of this.#hastened) one.wake();
  }

  /** Finishes what runs within `graceMs`, gives the rest back uncounted, and returns how many tasks that were. */
  stop(graceMs: number): Promise<number> {
    this.#isStopping = true;
    this.#stopped ??= this.#stop(graceMs);
    return this.#stopped;
  }

  async #stop(graceMs: number): Promise<number> {
    this.#session?.pump.stopClaiming(); // now: the loops below may be in the middle of a round
    clearTimeout(this.#registerTimer);
    clearTimeout(this.#endTimer);
    const untilMs = (atLeastMs = 0) => Math.max(graceMs, atLeastMs) + LAST_WORDS_MS;
    // what it began must end too, or its loops would outlive the worker
    await within(untilMs(), Promise.resolve(this.#registering));
    // at once: what the loops still wait for must not lengthen the grace
    const others = Promise.all([
      this.#listener?.stop(),
      within(untilMs(), this.#keeper.stop()),
      ...this.#loops.map((one) => within(untilMs(one.graceMsMin), one.stop(graceMs))),
    ]);
    others.catch(() => undefined); // heard below
    const givenBack = await this.#session?.stop(graceMs, stopping(), others);
    await others;
    this.#isOver = true;
    return givenBack ?? 0;
  }

  async #register(): Promise<Session> {
    const { store, application, revision, queues, concurrency, turns, log, limit } = this.#options;
    await this.#streams.refresh(store);
    const session = await Session.start({
      store,
      concurrency,
      turns,
      claimMin: Math.max(CLAIM_MIN, ...this.#options.handlers.map(({ atOnce = 0 }) => atOnce)),
      handlers: this.#streams.handlers,
      queueRank: (stream) => this.#streams.rank(stream),
      fair: this.#streams.fair,
      resultBytesMax: this.#options.resultBytesMax,
      transactionPool: this.#options.transactionPool,
      offHere: () => this.#offHere,
      openStreams: (offHere) => this.#streams.open(offHere),
      isOpen: (stream, offHere) => this.#streams.isOpen(stream, offHere),
      scopesOf: (stream) => this.#streams.scopesOf(stream),
      hasBreaker: (stream) => this.#streams.hasBreaker(stream),
      leftMs: () => Math.max(this.#endsAt - performance.now(), 0),
      log,
      observer: this.#options.observer,
      info: {
        host: hostname(),
        pid: process.pid,
        application,
        revision,
        queues,
        serves: this.#options.serves ?? [],
        concurrency,
        refused: this.#refused,
        streams: this.#streams.open([]),
        off_here: this.#offHere,
      },
      started: () => this.#starts.over(),
      lost: (error, refused) => this.#lost(error, refused),
      stopRequested: () => this.#stopWanted?.("request"),
      ended: (outcome) => this.#ended(outcome),
    });
    if (limit !== undefined) session.pump.limit(limit);
    this.#refused = 0;
    this.#tellStarted(session.workerId);
    return session;
  }

  #tellStarted(worker: number): void {
    const { application, concurrency, queues, serving, log, observer } = this.#options;
    const serves = { application, concurrency, ...(serving ?? { ...NOTHING, queues }) };
    log.info({ worker, ...serves }, "worker started");
    tell(observer, "started", { workerId: String(worker), ...serves });
  }

  #heard(payload: string): void {
    if (payload === "") this.wake();
    else this.#session?.beat(); // anybody who can connect can notify: the tables say what is to be done
  }

  #starting(): () => boolean {
    const session = this.#session;
    const begun = this.#starts.begin();
    return () => {
      begun();
      return session !== undefined && session === this.#session && session.mayStart;
    };
  }

  async #readLocalSwitches(): Promise<number> {
    const before = this.#offHere.join();
    this.#offHere = await this.#options.localSwitches.read();
    const now = this.#offHere.join();
    if (now !== before) {
      this.#options.log.info({ off: this.#offHere }, "switches on this host changed");
      this.#session?.beat();
      this.wake();
    }
    return LOCAL_SWITCHES_MS;
  }

  #ended(outcome: Outcome): void {
    if (!outcome.ok) this.#keeper.wake(); // it may be due soon, and only this worker knows
    if (hasFailed(outcome)) this.#failures += 1;
    if (this.#failures >= (this.#options.failureLimit ?? Number.POSITIVE_INFINITY))
      this.#stopWanted?.("failure limit");
    if (this.#session?.pump.isLimitReached === true) this.#stopWanted?.("limit");
  }

  #lost(error: PawlError, refused: number): void {
    const { log } = this.#options;
    this.#refused += refused;
    log.error(
      { worker: this.#session?.workerId, err: error.message, refused },
      "lease lost: registering again",
    );
    if (!this.#isStopping) this.#registering = this.#registerAgain(1);
  }

  async #registerAgain(tries: number): Promise<void> {
    try {
      const session = await this.#register();
      if (this.#isOver) return await session.abandon(stopping()); // nobody waits for it any more
      this.#session = session;
      if (this.#isStopping) session.pump.stopClaiming();
    } catch (error) {
      this.#options.log.warn({ err: messageOf(error) }, "registering failed, it is tried again");
      if (this.#isStopping) return;
      const again = () => {
        this.#registering = this.#registerAgain(tries + 1);
      };
      this.#registerTimer = setTimeout(again, backoffMs(tries, RETRY_START_MS));
    }
  }
}

/** With an error, and counted: what was cancelled, postponed or not ready did not fail. */
function hasFailed(outcome: Outcome): boolean {
  return !outcome.ok && FAILED.has(outcome.kind);
}

function stopping(): PawlError {
  return new PawlError("worker_stopping", "worker: stopping, the task is given back to its queue");
}
