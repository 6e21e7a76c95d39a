import type { ErrorCode } from "../../base/error-codes.ts";
import { PawlError } from "../../base/errors.ts";
import type { EndedRow } from "./sql.ts";

/** Returns the result of a task that was done. @throws PawlError for any other end */
export function resultOf(row: EndedRow): unknown {
  const { id, state, kind, result, error, reason } = row;
  if (state === "done") return result === null ? null : JSON.parse(result);
  if (state === null) {
    throw new PawlError(
      "task_not_found",
      `result: task ${id} is not there, neither live, dead nor finished; retention may have removed it (\`keep\`)`,
      { data: { id } },
    );
  }
  const { code, what } = ENDS[state];
  const said = error?.message === undefined ? "" : `: ${error.message}`;
  const why = reason === null ? "" : ` (${reason})`;
  throw new PawlError(
    code,
    `result: task ${id} (${kind}) ${what}${why}${said}; see \`pawl tasks show ${id}\``,
    { data: { id, state, ...(reason !== null && { reason }), ...(error !== null && { error }) } },
  );
}

const ENDS = {
  dead: { code: "task_dead", what: "is dead" },
  removed: { code: "task_dead", what: "was dead, and its dead letter was removed" },
  cancelled: { code: "task_cancelled", what: "was cancelled" },
  expired: { code: "task_expired", what: "has expired" },
} satisfies Record<Exclude<EndedRow["state"], "done" | null>, { code: ErrorCode; what: string }>;
