/** The one claim beside the turn: of one task, by its id. */

import type { PreparedExecutor } from "../../store/executor.ts";
import type { TurnRow } from "../sql.ts";

export type ClaimOneRow = TurnRow & {
  /** `claimed`, or why not; `busy`: ask again at once. */
  outcome: "claimed" | "running" | "held" | "busy";
  detail: { reason?: string; until?: string; by?: string; why?: string } | null;
  stream_id: number;
};

/** Claims this task, due or not, for this worker and no other; undefined if it is not live. */
export async function claimOne(
  executor: PreparedExecutor,
  { worker, claim, id }: { worker: number; claim: number; id: string },
): Promise<ClaimOneRow | undefined> {
  const [row] = await executor.prepared<ClaimOneRow>(
    "select * from pawl.claim_one_v1($1, $2, $3)",
    [worker, claim, id],
  );
  return row;
}
