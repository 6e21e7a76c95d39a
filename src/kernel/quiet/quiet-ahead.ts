/**
 * What a worker knows of the coming quiet hours, so that it can ask between the steps of a task without a query. Read again every minute, and
 * when they change, which is told as a switch is.
 */

import type { Logger } from "../../base/log.ts";
import { type Loop, loop } from "../../base/loop.ts";
import { messageOf } from "../../base/thrown.ts";
import type { Executor } from "../../store/executor.ts";
import { quietAhead } from "./sql.ts";

const EVERY_MS = 60_000;
/** Further ahead than a step may take, apart from odd ones. */
const HORIZON_MS = 2 * 86_400_000;

/** By this process's steady clock. */
interface Time {
  holds: readonly string[];
  exempt: readonly string[];
  begins: number;
  ends: number;
}

export class QuietAhead {
  readonly #store: Executor;
  readonly #loop: Loop;
  #times: readonly Time[] = [];
  #asked = 0;
  #applied = 0;

  constructor({ store, log }: { store: Executor; log: Logger }) {
    this.#store = store;
    this.#loop = loop({
      runOnce: async () => {
        await this.refresh();
        return EVERY_MS;
      },
      failed: (error) => log.warn({ err: messageOf(error) }, "reading quiet hours failed"),
    });
  }

  start(): void {
    this.#loop.start();
  }

  stop(): Promise<void> {
    return this.#loop.stop();
  }

  async refresh(): Promise<void> {
    this.#asked += 1;
    const no = this.#asked;
    const askedAt = performance.now();
    const rows = await quietAhead(this.#store, HORIZON_MS);
    if (no < this.#applied) return; // a later answer knows more
    this.#applied = no;
    const answeredAt = performance.now();
    this.#times = rows.map(({ holds, exempt, begins_ms, ends_ms }) => ({
      holds,
      exempt,
      begins: askedAt + begins_ms,
      ends: answeredAt + ends_ms,
    }));
  }

  /** For how long something of these scopes, which takes so long, may not start; 0: it may. */
  heldMs(scopes: readonly string[], takesMs: number): number {
    const now = performance.now();
    const held = this.#times.filter(
      ({ holds, exempt, begins, ends }) =>
        ends > now &&
        begins < now + takesMs &&
        holds.some((scope) => scopes.includes(scope)) &&
        !exempt.some((scope) => scopes.includes(scope)),
    );
    return Math.ceil(Math.max(0, ...held.map(({ ends }) => ends - now)));
  }
}
