/** What the last statement of a transaction records, in which the app's code has written. */

import type { Executor } from "../../store/executor.ts";

export interface Settlement {
  is_settled: boolean;
  xid: string;
}

export type Fate = "open" | "committed" | "rolled_back";

/** What such a transaction records as its last statement. */
export interface Seal {
  record(executor: Executor): Promise<Settlement | undefined>;
  /** Asked when COMMIT had no answer. */
  fate(executor: Executor, xid: string): Promise<Fate | undefined>;
}
