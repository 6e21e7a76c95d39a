/** Writes the progress that handlers report, for people to see: the last value of each task, at most once a second. */

import { type Loop, loop } from "../base/loop.ts";
import type { Executor } from "../store/executor.ts";
import { type ProgressRow, writeProgress } from "./sql.ts";
import type { ClaimedTask } from "./task.ts";

const GAP_MS = 1_000;
/** Written when something was reported; this is only the longest sleep of the loop. */
const IDLE_MS = 3_600_000;

export class Progress {
  readonly #loop: Loop;
  #said = new Map<string, ProgressRow>();

  constructor(executor: Executor, workerId: number, failed: (error: unknown) => void) {
    this.#loop = loop({
      gapMs: GAP_MS,
      failed,
      runOnce: async () => {
        const said = [...this.#said.values()];
        this.#said = new Map();
        if (said.length > 0) await writeProgress(executor, workerId, said);
        return IDLE_MS;
      },
    });
  }

  start(): void {
    this.#loop.start();
  }

  say({ id, seq }: ClaimedTask, value: string): void {
    this.#said.set(seq, { id, seq, value });
    this.#loop.wake();
  }

  stop(): Promise<void> {
    return this.#loop.stop();
  }
}
