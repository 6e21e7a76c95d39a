/** What operators did: who, when, what, to which target, why. Rows are only ever added, mostly by the functions that act. */

import type { Executor } from "../../../store/executor.ts";

/** Who does it, and why: kept in the audit with every act. */
export interface Act {
  by: string;
  why?: string | undefined;
}

export interface AuditRow {
  id: string;
  at: Date;
  by: string;
  action: string;
  /** `all`, `queue:low` or `task:42`. */
  target: string;
  why: string | null;
  detail: Record<string, unknown> | null;
}

/** Newest first. */
export function auditRows(
  executor: Executor,
  { target, limit }: { target?: string | undefined; limit: number },
): Promise<AuditRow[]> {
  return executor.rows(
    `select id, at, by, action, target, why, detail from pawl.audit
      where $1::text is null or target = $1 order by id desc limit $2`,
    [target ?? null, limit],
  );
}

export interface AuditEntry extends Act {
  action: string;
  target: string;
  detail?: Record<string, unknown>;
}

/** For acts that no function of the database does as a whole. */
export async function recordAct(
  executor: Executor,
  { by, action, target, why, detail }: AuditEntry,
): Promise<void> {
  await executor.rows("select pawl.audit_v1($1, $2, $3, $4, $5)", [
    by,
    action,
    target,
    why ?? null,
    detail === undefined ? null : JSON.stringify(detail),
  ]);
}
