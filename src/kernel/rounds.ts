/** A loop that goes round over many keys, a part in a pass, of which one worker at a time does a pass. */

import { nextPollMs } from "./watch/watch.ts";

export interface RoundsOptions<Pass> {
  /** @param after the last pass that was done: this one goes on where it ended */
  pass: (after: Pass | undefined) => Promise<Pass>;
  /** How much it has done; null: another worker does it now. */
  done: (pass: Pass) => number | null;
  /** It was the last of its round. */
  isOver: (pass: Pass) => boolean;
  /** How long until something will be due; default: nothing will. */
  dueMs?: (pass: Pass) => number;
  /** Between two passes of a round. */
  partMs: number;
  /** Between two rounds: longer after each that did nothing. */
  roundMs: Parameters<typeof nextPollMs>[1];
  isIdle: () => boolean;
  /** Something became ready. */
  wake: () => void;
}

/** @returns runs one pass, and answers the wait until the next in ms */
export function rounds<Pass>({
  pass,
  done,
  isOver,
  dueMs = () => Number.POSITIVE_INFINITY,
  partMs,
  roundMs,
  isIdle,
  wake,
}: RoundsOptions<Pass>): () => Promise<number> {
  let last: Pass | undefined;
  let inVain = 0;
  let doneInRound = 0;
  return async () => {
    const now = await pass(last);
    const many = done(now);
    if (many === null) {
      inVain += 1;
      return nextPollMs(inVain + 1, roundMs, isIdle()); // and then from the same place
    }
    last = now;
    doneInRound += many;
    if (many > 0) wake();
    if (!isOver(now)) return Math.min(partMs, dueMs(now));
    inVain = doneInRound === 0 ? inVain + 1 : 0;
    doneInRound = 0;
    return Math.min(nextPollMs(inVain + 1, roundMs, isIdle()), dueMs(now));
  };
}
