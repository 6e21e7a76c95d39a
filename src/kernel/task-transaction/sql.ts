/** The statements of a handler's own transaction. The work is in the functions of `src/kernel/sql`. */

import type { Executor } from "../../store/executor.ts";
import type { ClaimedTask } from "../task.ts";
import type { Fate, Seal, Settlement } from "./seal.ts";

/** The end of the task. */
export function settling(
  worker: number,
  { id, seq, claim }: ClaimedTask,
  result: string | null,
): Seal {
  return {
    record: async (executor) => {
      const [row] = await executor.rows<Settlement>(
        "select * from pawl.settle_in_transaction_v1($1, $2, $3, $4, $5)",
        [worker, id, seq, claim, result],
      );
      return row;
    },
    fate: async (executor, xid) => {
      const [row] = await executor.rows<{ fate: Fate }>(
        "select pawl.settled_v1($1, $2, $3, $4) as fate",
        [worker, id, seq, xid],
      );
      return row?.fate;
    },
  };
}

export async function signOfLife(executor: Executor): Promise<void> {
  await executor.rows("select 1");
}

/** Ends a transaction whose client is silent for the length of a lease. */
export const LIMIT_SILENCE = "select pawl.limit_silence_v1()";
