/**
 * The kernel's second primitive: the right to a name for one owner at a time. Each new owner has a new epoch, and every
 * act under the lease is fenced by it. The database's clock decides; an owner that slept through its lease is refused.
 */

import { PawlError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import { type Loop, loop } from "../../base/loop.ts";
import { messageOf } from "../../base/thrown.ts";
import { unheard } from "../../base/unheard.ts";
import type { Executor } from "../../store/executor.ts";
import { translateDatabaseError } from "../../store/sqlstate.ts";
import { holdLease, releaseLease, renewLease, reserveSlot, takeLease } from "./sql.ts";

const LENGTH_MS_DEFAULT = 10_000;
/** Two renewals may fail before a lease runs out. */
const RENEWALS_PER_LENGTH = 3.3;
const LENGTH_MS_MIN = 100;

export interface NamedLeaseOptions {
  /** 1 to 200 of A-Z, a-z, 0-9, `_.:/@-`. */
  name: string;
  /** For people: who has it. */
  owner: string;
  /** How long it holds without a renewal; default 10 s. */
  lengthMs?: number;
  /** How often it is renewed. Default: so that two renewals may fail before it runs out. */
  everyMs?: number;
  log: Logger;
}

export interface LeaseHolder {
  owner: string;
  until: Date;
}

export class NamedLease {
  readonly name: string;
  /** Rises with each owner. */
  readonly epoch: string;
  /** Aborts when the lease is lost or released: stop the work that depends on it. */
  readonly signal: AbortSignal;
  readonly #executor: Executor;
  readonly #lengthMs: number;
  readonly #renewals: Loop;
  readonly #over = new AbortController();
  /** When the last granted renewal was requested, by this process's steady clock. */
  #grantedAt: number;

  /** Returns the lease, which is renewed automatically until it is released; or who has it. */
  static async take(
    executor: Executor,
    options: NamedLeaseOptions,
  ): Promise<NamedLease | LeaseHolder> {
    const { name, owner, lengthMs = LENGTH_MS_DEFAULT } = options;
    if (!Number.isFinite(lengthMs) || lengthMs < LENGTH_MS_MIN) {
      throw new PawlError(
        "invalid_option",
        `lease "${name}": expected \`lengthMs\` to be at least ${LENGTH_MS_MIN}, got ${lengthMs}`,
      );
    }
    const askedAt = performance.now();
    const { epoch, holder, lease_until } = await takeLease(executor, { name, owner, lengthMs });
    if (epoch === null) return { owner: holder, until: lease_until };
    return new NamedLease(executor, epoch, { ...options, lengthMs, askedAt, isNew: true });
  }

  /**
   * Returns a lease that another statement has taken. It is renewed as soon as the code that runs now has ended: begin under it at once.
   * @param askedAt when that statement was sent, by `performance.now()`
   */
  static taken(
    executor: Executor,
    epoch: string,
    options: Omit<NamedLeaseOptions, "owner"> & { lengthMs: number; askedAt: number },
  ): NamedLease {
    return new NamedLease(executor, epoch, { ...options, isNew: false });
  }

  private constructor(
    executor: Executor,
    epoch: string,
    {
      name,
      lengthMs,
      everyMs = lengthMs / RENEWALS_PER_LENGTH,
      log,
      askedAt,
      isNew,
    }: Omit<NamedLeaseOptions, "owner"> & { lengthMs: number; askedAt: number; isNew: boolean },
  ) {
    this.name = name;
    this.epoch = epoch;
    this.signal = this.#over.signal;
    this.#executor = executor;
    this.#lengthMs = lengthMs;
    this.#grantedAt = askedAt;
    let isFirst = isNew;
    this.#renewals = loop({
      runOnce: async () => {
        const renewedAt = performance.now();
        if (!isFirst) {
          await renewLease(executor, this.#own);
          this.#grantedAt = renewedAt;
        }
        isFirst = false;
        return everyMs;
      },
      failed: (error) => {
        log.warn({ lease: name, err: messageOf(error) }, "renewing a lease failed");
        this.#noteLoss(error);
      },
    });
    this.#renewals.start();
  }

  /**
   * Fences what `tx` writes: until its end nobody else can take the lease.
   * @throws PawlError `named_lease_lost`
   */
  async hold(tx: Executor): Promise<void> {
    await this.#fenced(() => holdLease(tx, this.#own));
  }

  /**
   * Reserves the next slot, at least `gapMs` after the last one of any owner; returns how long to wait for it.
   * @throws PawlError `named_lease_lost`
   */
  reserveSlot(gapMs: number): Promise<number> {
    return this.#fenced(() => reserveSlot(this.#executor, { ...this.#own, gapMs }));
  }

  /** True if the lease has not run out by this process's own clock. */
  get isLive(): boolean {
    return !this.signal.aborted && performance.now() - this.#grantedAt < this.#lengthMs;
  }

  /**
   * Refuses a lease that has run out by this process's own clock. Ask right before an act that the database cannot fence, such
   * as a request: a process that slept must not act as if no time had passed.
   * @throws PawlError `named_lease_lost`
   */
  requireLive(): void {
    if (this.isLive) return;
    const agoMs = performance.now() - this.#grantedAt;
    const why = `not renewed for ${Math.round(agoMs)} ms, it holds for ${this.#lengthMs} ms`;
    throw new PawlError("named_lease_lost", `lease "${this.name}": lost; ${why}`);
  }

  /** Ends the renewals, for a statement that gives it back together with something else. The signal does not abort. */
  stopRenewing(): Promise<void> {
    return this.#renewals.stop();
  }

  /** Returns false if it was no longer ours: a later owner keeps it. */
  async release(): Promise<boolean> {
    await this.#end(new PawlError("named_lease_lost", `lease "${this.name}": released`));
    return releaseLease(this.#executor, this.#own);
  }

  get #own(): { name: string; epoch: string; lengthMs: number } {
    return { name: this.name, epoch: this.epoch, lengthMs: this.#lengthMs };
  }

  async #fenced<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      this.#noteLoss(error);
      throw error;
    }
  }

  #noteLoss(thrown: unknown): void {
    const error = translateDatabaseError(thrown);
    if (error.code === "named_lease_lost") unheard(() => this.#end(error));
  }

  #end(reason: PawlError): Promise<void> {
    this.#over.abort(reason);
    return this.#renewals.stop();
  }
}
