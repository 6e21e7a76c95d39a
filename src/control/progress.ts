/** What a run says about how far it is: the latest text and fraction, written at most once a second. It also notices when the lock has run out. */

import { PawlError, shown } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { type Loop, loop } from "../base/loop.ts";
import { maskText } from "../base/mask.ts";
import { messageOf, storable } from "../base/thrown.ts";
import type { NamedLease } from "../kernel/named-lease/named-lease.ts";
import type { Executor } from "../store/executor.ts";
import { type Said, writeProgress } from "./sql.ts";

const LOOK_MS = 1_000;
const TEXT_CHARS_MAX = 500;

export class RunProgress {
  readonly #loop: Loop;
  readonly #lost = new AbortController();
  #said: Said = { progress: null, fraction: null };
  #written: Said = this.#said;
  #isOver = false;

  constructor(executor: Executor, run: string, lease: NamedLease, log: Logger) {
    this.#loop = loop({
      runOnce: async () => {
        if (!lease.isLive) this.#lost.abort(lostError(lease.name));
        const said = this.#said;
        if (said !== this.#written) await writeProgress(executor, run, said);
        this.#written = said;
        return LOOK_MS;
      },
      failed: (error) =>
        log.warn({ lease: lease.name, err: messageOf(error) }, "writing the progress failed"),
    });
  }

  /** Aborts when the lock has run out by this process's clock: a database that is away cannot say so. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  get said(): Said {
    return this.#said;
  }

  start(): void {
    this.#loop.start();
  }

  /** @throws PawlError `invalid_option` */
  say(value: unknown, key: string): void {
    if (this.#isOver) return;
    if (typeof value === "string") {
      this.#said = { ...this.#said, progress: maskText(storable(value, TEXT_CHARS_MAX)) };
    } else if (typeof value === "number" && value >= 0 && value <= 1) {
      this.#said = { ...this.#said, fraction: value };
    } else {
      throw new PawlError(
        "invalid_option",
        `command "${key}", progress: expected a text, or a number from 0 to 1, got ${shown(value)}`,
        { data: { option: "progress" } },
      );
    }
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#loop.stop();
  }
}

function lostError(name: string): PawlError {
  return new PawlError(
    "named_lease_lost",
    `lease "${name}": lost; it could not be renewed in time`,
  );
}
