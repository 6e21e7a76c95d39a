// Times a drain by the same rule for every subject: from the moment the worker is up (its start has returned, or its
// first handler is called, whichever is earlier) until the last handler has run and every outcome is in the database.
import { setTimeout as wait } from "node:timers/promises";

const POLL_MS = 2;

export class DrainClock {
  done = 0;
  #tasks;
  #startedAt;
  #allDone;
  #isAllDone = new Promise((resolve) => {
    this.#allDone = resolve;
  });

  constructor(tasks) {
    this.#tasks = tasks;
  }

  workerIsUp() {
    this.#startedAt ??= performance.now();
  }

  /** Called by every handler. */
  handled() {
    if (this.done === 0) this.workerIsUp();
    this.done += 1;
    if (this.done === this.#tasks) this.#allDone();
  }

  /** Answers the milliseconds. `isEmpty` asks the database. */
  async finished(isEmpty) {
    await this.#isAllDone;
    while (!(await isEmpty())) await wait(POLL_MS);
    return performance.now() - this.#startedAt;
  }
}
