/**
 * An idle worker asks for all of its loops with one statement a second, instead of one for each loop. A watched loop runs
 * when the answer says that it has work, when it is woken, and after WATCHED_MS whatever the answers were.
 */

import { backoffMs } from "../../base/backoff.ts";
import type { Logger } from "../../base/log.ts";
import { type Loop, loop } from "../../base/loop.ts";
import { messageOf } from "../../base/thrown.ts";
import type { Store } from "../../store/store.ts";
import { ask } from "./sql.ts";

/** By default, how late an idle worker finds work that was not announced. */
const WATCH_MS = 1_000;
/** Should the watch miss something, its loops find it. */
export const WATCHED_MS = 30_000;

export interface Question {
  /** An SQL expression that is true when there is work: a call of a function. */
  sql: string;
  /** The value of its `$1`, if it has one. */
  value?: () => unknown;
  /** Asked every second, however long `pollMs` is: what the whole fleet waits for, such as rescue. */
  isChore?: boolean;
  /** There is work. */
  yes: () => void;
}

export interface WatchOptions {
  store: Store;
  log: Logger;
  /** Time between two questions; default 1 s. Chores wait no longer than that, whatever it is. */
  pollMs?: number | undefined;
}

export class Watch {
  readonly loop: Loop;
  readonly #questions: Question[] = [];
  /** When all questions are asked next. */
  #allAt = 0;

  constructor({ store, log, pollMs = WATCH_MS }: WatchOptions) {
    this.loop = loop({
      runOnce: async () => {
        const now = performance.now();
        const isForAll = pollMs <= WATCH_MS || now >= this.#allAt;
        const questions = this.#questions.filter(({ isChore }) => isForAll || isChore === true);
        const answers = await ask(store, questions);
        if (isForAll) this.#allAt = now + jittered(pollMs);
        for (const [i, { yes }] of questions.entries()) if (answers[i] === true) yes();
        return jittered(Math.min(pollMs, WATCH_MS));
      },
      failed: (error) => log.warn({ err: messageOf(error) }, "asking for work failed"),
    });
  }

  add(question: Question): void {
    this.#questions.push(question);
  }
}

function jittered(ms: number): number {
  return ms * (0.75 + Math.random() / 2);
}

/** Polls that are this far apart are left to the watch, which finds work as soon as they would. */
const CLOSE_MS_MAX = WATCH_MS / 2;

/** For loops that look less often while they find nothing, but often while their worker is busy, since it is then not notified. */
export interface Polls {
  baseMs: number;
  maxMs: number;
  busyMs: number;
}

/** How long such a loop waits after this many rounds that found nothing. */
export function nextPollMs(rounds: number, { busyMs, ...polls }: Polls, isIdle: boolean): number {
  const pollMs = watchedMs(backoffMs(rounds, polls));
  return isIdle ? pollMs : Math.min(pollMs, busyMs);
}

/** How long a watched loop waits if it would otherwise wait `pollMs`. */
export function watchedMs(pollMs: number): number {
  return pollMs < CLOSE_MS_MAX ? pollMs : WATCHED_MS;
}
