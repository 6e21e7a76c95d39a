/**
 * Brings back tasks that were set aside because of their limit key: when a rate lets them start, and when the end of another made
 * room without seeing them. Most come back with that end already.
 */

import type { Logger } from "../../base/log.ts";
import { type Loop, loop } from "../../base/loop.ts";
import { messageOf } from "../../base/thrown.ts";
import type { Store } from "../../store/store.ts";
import { rounds } from "../rounds.ts";
import { type Admitted, admit } from "./sql.ts";

const KEYS_PER_PASS = 500;
const PASS_GAP_MS = 5;
const PART_MS = 25;
const ROUND_MS = { baseMs: 25, maxMs: 1_000, busyMs: 500 };

interface AdmitterOptions {
  store: Store;
  log: Logger;
  isIdle: () => boolean;
  /** Something became ready. */
  wake: () => void;
}

/** Goes round over the keys, a part in a pass. */
export function admitter({ store, log, isIdle, wake }: AdmitterOptions): Loop {
  return loop({
    runOnce: rounds<Admitted>({
      pass: (after) => admit(store, KEYS_PER_PASS, after),
      done: ({ admitted }) => admitted,
      isOver: ({ after_key }) => after_key === null,
      dueMs: ({ next_ms }) => next_ms ?? Number.POSITIVE_INFINITY,
      partMs: PART_MS,
      roundMs: ROUND_MS,
      isIdle,
      wake,
    }),
    failed: (error) =>
      log.warn({ err: messageOf(error) }, "bringing back limited tasks failed, it is tried again"),
    gapMs: PASS_GAP_MS,
  });
}
