/**
 * Reports attempts to the breakers: failures of every stream that has a breaker, attempts that have run for long, and successes
 * of streams that are watched because something failed lately. The database adds up the reports of all workers and decides.
 */

import { showDuration } from "../../base/duration.ts";
import type { Logger } from "../../base/log.ts";
import { type Loop, loop } from "../../base/loop.ts";
import { messageOf } from "../../base/thrown.ts";
import { isDataFault, translateDatabaseError } from "../../store/sqlstate.ts";
import type { Store } from "../../store/store.ts";
import type { FailureKind, Outcome } from "../outcome.ts";
import type { ClaimedTask, StreamHandler } from "../task.ts";
import { type BreakerReport, reportAttempts } from "./sql.ts";

/** Failures of a burst are reported together. */
const GAP_MS = 100;
const IDLE_MS = 3_600_000;
/** How often long-running attempts are looked for. */
const SLOW_LOOK_MS = 250;
const FAILED: ReadonlySet<FailureKind> = new Set(["retry", "timeout", "unrecoverable"]);

interface Running {
  readonly stream: number;
  readonly slowMs: number;
  /** When it begins to count as slow. */
  readonly slowAt: number;
  isSlow: boolean;
}

export interface BreakerReportsOptions {
  store: Store;
  log: Logger;
  hasBreaker: (stream: number) => boolean;
}

export class BreakerReports {
  readonly #options: BreakerReportsOptions;
  readonly #loop: Loop;
  readonly #slowLoop: Loop;
  readonly #running = new Map<string, Running>();
  #reports = new Map<number, BreakerReport>();

  constructor(options: BreakerReportsOptions) {
    this.#options = options;
    this.#loop = loop({
      runOnce: () => this.#tell(),
      failed: (error) =>
        options.log.warn({ err: messageOf(error) }, "reporting to the breakers failed"),
      gapMs: GAP_MS,
    });
    this.#slowLoop = loop({
      runOnce: () => this.#noteSlow(),
      failed: () => undefined, // nothing in it can fail
      gapMs: SLOW_LOOK_MS,
    });
  }

  start(): void {
    this.#loop.start();
    this.#slowLoop.start();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#slowLoop.stop(), this.#loop.stop()]);
  }

  /** An attempt began. */
  began({ streamId: stream, seq }: ClaimedTask, handler: StreamHandler | undefined): void {
    if (handler === undefined || !this.#options.hasBreaker(stream)) return;
    const slowMs = handler.slowMs ?? handler.timeoutMs / 2;
    this.#running.set(seq, { stream, slowMs, slowAt: performance.now() + slowMs, isSlow: false });
    if (this.#running.size === 1) this.#slowLoop.wake();
  }

  /** It has ended. */
  note(outcome: Outcome, isWatched: boolean): void {
    const { streamId: stream, seq } = outcome.task;
    const wasSlow = this.#running.get(seq)?.isSlow === true;
    this.#running.delete(seq);
    const isFailure = !outcome.ok && FAILED.has(outcome.kind) && outcome.isReceiverUp !== true;
    const isGood = outcome.ok || outcome.isReceiverUp === true;
    if (!wasSlow && !isFailure && !(isGood && isWatched)) return;
    if (!this.#options.hasBreaker(stream)) return;
    this.#add({
      stream,
      ok: !isFailure && isGood ? 1 : 0,
      failed: isFailure ? (wasSlow ? 2 : 1) : 0,
      slow: wasSlow ? -1 : 0,
      hold_ms: isFailure ? (outcome.pauseMs ?? null) : null,
      error: isFailure ? outcome.error : null,
    });
    this.#loop.wake();
  }

  async #tell(): Promise<number> {
    const reports = [...this.#reports.values()];
    this.#reports = new Map();
    if (reports.length === 0) return IDLE_MS;
    const { log } = this.#options;
    const changed = await this.#report(reports).catch((error: unknown) => {
      for (const report of reports) this.#add(report); // reported with the next ones
      throw error;
    });
    for (const { stream_id: stream, phase, until } of changed)
      log.warn({ stream, phase, until }, "a breaker changed");
    return IDLE_MS;
  }

  async #noteSlow(): Promise<number> {
    const now = performance.now();
    for (const one of this.#running.values()) {
      if (one.isSlow || one.slowAt > now) continue;
      one.isSlow = true;
      const message = `no end of an attempt within ${showDuration(Math.round(one.slowMs))}`;
      const error = { name: "SlowAttempt", message };
      this.#add({ stream: one.stream, ok: 0, failed: 0, slow: 1, hold_ms: null, error });
      this.#loop.wake();
    }
    return this.#running.size === 0 ? IDLE_MS : SLOW_LOOK_MS;
  }

  /** A report that the database refuses, for its queue's setting or its values, is dropped; the others are sent one by one. */
  async #report(reports: readonly BreakerReport[]): ReturnType<typeof reportAttempts> {
    const { store, log } = this.#options;
    try {
      return await reportAttempts(store, reports);
    } catch (thrown) {
      const error = translateDatabaseError(thrown);
      const [only] = reports;
      if (!isDataFault(error) || only === undefined) throw error;
      if (reports.length === 1) {
        log.error({ stream: only.stream, err: error.message }, "reporting to a breaker failed");
        return [];
      }
      const changed: Awaited<ReturnType<typeof reportAttempts>> = [];
      for (const report of reports) changed.push(...(await this.#report([report])));
      return changed;
    }
  }

  #add({ stream, ok, failed, slow = 0, hold_ms, error }: BreakerReport): void {
    const sum = this.#reports.get(stream);
    this.#reports.set(stream, {
      stream,
      ok: ok + (sum?.ok ?? 0),
      failed: failed + (sum?.failed ?? 0),
      slow: slow + (sum?.slow ?? 0),
      hold_ms: hold_ms === null ? (sum?.hold_ms ?? null) : Math.max(hold_ms, sum?.hold_ms ?? 0),
      error: error ?? sum?.error ?? null,
    });
  }
}
