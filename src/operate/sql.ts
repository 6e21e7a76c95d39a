/**
 * What operators did: who, when, what, to which target, why. Rows are only added, mostly by the functions that make the
 * change.
 */

import type { Executor } from "../store/executor.ts";
import { ownFields } from "./results.ts";

/** What is done, by whom and why: recorded in the audit. */
export interface Act {
  /** The verb as declared, such as `dead.retry`. Default: the verb of the called function. */
  action?: string;
  by: string;
  why?: string | undefined;
}

export interface AuditRow {
  id: string;
  at: Date;
  by: string;
  /** The verb, such as `dead.retry`. */
  action: string;
  /** What was changed, such as `all`, `queue:low` or `task:42`. */
  target: string;
  why: string | null;
  detail: Record<string, unknown> | null;
}

export interface AuditFilter {
  target?: string | undefined;
  /** A verb, or a noun for all its verbs. */
  action?: string | undefined;
  limit: number;
}

/** Newest first. */
export async function auditRows(
  executor: Executor,
  { target, action, limit }: AuditFilter,
): Promise<AuditRow[]> {
  const rows = await executor.rows<AuditRow>(
    `select id, at, by, action, target, why, detail from pawl.audit
      where ($1::text is null or target = $1) and ($2::text is null or action = $2 or starts_with(action, $2 || '.'))
      order by id desc limit $3`,
    [target ?? null, action ?? null, limit],
  );
  return rows.map((row) => ({
    ...row,
    detail: row.detail === null ? null : ownFields(row.detail),
  }));
}

export interface AuditEntry extends Act {
  action: string;
  target: string;
  detail?: Record<string, unknown>;
}

/** For acts that no database function records: in the same transaction (`recorded`), or before what is not one. */
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
