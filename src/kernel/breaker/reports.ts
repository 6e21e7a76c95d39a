/**
 * Tells the breakers how attempts went: failures of every stream that has one, and good attempts of those that are
 * watched, because something failed lately. The database adds up what all workers say, and decides.
 */

import type { Logger } from "../../base/log.ts";
import { type Loop, loop } from "../../base/loop.ts";
import type { Store } from "../../store/store.ts";
import type { FailureKind, Outcome } from "../outcome.ts";
import { type BreakerReport, reportAttempts } from "./sql.ts";

/** Failures of a burst are told together. */
const GAP_MS = 100;
const IDLE_MS = 3_600_000;
const FAILED: ReadonlySet<FailureKind> = new Set(["retry", "timeout", "unrecoverable"]);

export interface BreakerReportsOptions {
  store: Store;
  log: Logger;
  hasBreaker: (stream: number) => boolean;
}

export class BreakerReports {
  readonly #options: BreakerReportsOptions;
  readonly #loop: Loop;
  #reports = new Map<number, BreakerReport>();

  constructor(options: BreakerReportsOptions) {
    this.#options = options;
    this.#loop = loop({
      runOnce: () => this.#tell(),
      failed: (error) =>
        options.log.warn({ err: (error as Error).message }, "telling the breakers failed"),
      gapMs: GAP_MS,
    });
  }

  start(): void {
    this.#loop.start();
  }

  stop(): Promise<void> {
    return this.#loop.stop();
  }

  note(outcome: Outcome, isWatched: boolean): void {
    const { streamId: stream } = outcome.task;
    const isFailure = !outcome.ok && FAILED.has(outcome.kind) && outcome.isReceiverUp !== true;
    const isGood = outcome.ok || outcome.isReceiverUp === true;
    if (!isFailure && !(isGood && isWatched)) return;
    if (!this.#options.hasBreaker(stream)) return;
    this.#add({
      stream,
      ok: isFailure ? 0 : 1,
      failed: isFailure ? 1 : 0,
      hold_ms: isFailure ? (outcome.pauseMs ?? null) : null,
      error: isFailure ? outcome.error : null,
    });
    this.#loop.wake();
  }

  async #tell(): Promise<number> {
    const reports = [...this.#reports.values()];
    this.#reports = new Map();
    if (reports.length === 0) return IDLE_MS;
    const { store, log } = this.#options;
    const changed = await reportAttempts(store, reports).catch((error: unknown) => {
      for (const report of reports) this.#add(report); // told with the next ones
      throw error;
    });
    for (const { stream_id: stream, phase, until } of changed)
      log.warn({ stream, phase, until }, "a breaker changed");
    return IDLE_MS;
  }

  #add({ stream, ok, failed, hold_ms, error }: BreakerReport): void {
    const sum = this.#reports.get(stream);
    this.#reports.set(stream, {
      stream,
      ok: ok + (sum?.ok ?? 0),
      failed: failed + (sum?.failed ?? 0),
      hold_ms: hold_ms === null ? (sum?.hold_ms ?? null) : Math.max(hold_ms, sum?.hold_ms ?? 0),
      error: error ?? sum?.error ?? null,
    });
  }
}
