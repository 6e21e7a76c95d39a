/** What operators see and turn of the gate: switches, and queues with what holds them. */

import type { Executor } from "../../../store/executor.ts";
import type { BreakerPolicy } from "../../breaker/sql.ts";
import type { Act } from "../audit/sql.ts";

export interface OffOptions extends Act {
  /** `all` or `queue:<name>`. */
  scope: string;
  /** On again by itself at this time; or `forMs` from now, by the database's clock. Without either: until somebody turns it on. */
  until?: Date | undefined;
  forMs?: number | undefined;
}

/**
 * Once this has resolved, nothing of the scope starts until it is on again.
 * @throws PawlError `invalid_option`, `unknown_queue`
 */
export async function switchOff(executor: Executor, options: OffOptions): Promise<void> {
  await executor.rows(
    `select pawl.off_v1($1, $2, $3, coalesce($4::timestamptz, pawl.now() + $5::float8 * interval '1 ms'))`,
    [options.scope, options.by, options.why ?? null, options.until ?? null, options.forMs ?? null],
  );
}

/** @returns whether it was off */
export async function switchOn(
  executor: Executor,
  { scope, by, why }: Act & { scope: string },
): Promise<boolean> {
  const [row] = await executor.rows<{ was_off: boolean }>(
    "select pawl.on_v1($1, $2, $3) as was_off",
    [scope, by, why ?? null],
  );
  return row?.was_off ?? false;
}

export interface SwitchRow {
  scope: string;
  off_by: string;
  why: string | null;
  since: Date;
  /** null: until somebody turns it on. */
  until: Date | null;
  /** Tasks of the scope that still run. */
  running: number;
  /** Of `all`: named leases under which something still runs, such as `source:<name>`. */
  leases: string[];
  /** Of `all`: batches of events that are still being stored. */
  batches: number;
}

/** What of it still runs, for people; empty when nothing does. */
export function stillRunning({ running, leases, batches }: SwitchRow): string {
  const parts = [
    ...(running > 0 ? [`${running} ${running === 1 ? "task" : "tasks"}`] : []),
    ...leases,
    ...(batches > 0 ? [`${batches} ${batches === 1 ? "batch" : "batches"} being stored`] : []),
  ];
  return parts.join(", ");
}

/** What is off for the fleet. */
export function switches(executor: Executor): Promise<SwitchRow[]> {
  return executor.rows("select * from pawl.switches_v1()");
}

export interface OffHereRow {
  host: string;
  /** What a file or a variable on this host holds, as its workers report. */
  scopes: string[];
}

export function offHere(executor: Executor): Promise<OffHereRow[]> {
  return executor.rows(
    `select w.host, array_agg(distinct s.scope order by s.scope) as scopes
       from pawl.worker w cross join lateral unnest(w.off_here) s (scope)
      where w.ended_at is null and w.lease_until > pawl.now() group by w.host order by w.host`,
  );
}

/** Why a queue's tasks may not start now; times as ISO 8601 text. */
export type Hold = { since: string | null; until: string | null } & (
  | { reason: "off"; detail: { scope: string; by: string; why: string | null } }
  | { reason: "concurrency" | "kind_concurrency"; detail: { limit: number; running: number } }
  | { reason: "rate"; detail: Rate }
  | { reason: "breaker"; detail: { trips: number; error: string | null; starts: number } }
);

export interface Rate {
  limit: number;
  per_ms: number;
  burst: number;
}

export interface QueueRow {
  queue: string;
  application: string;
  /** Tasks at once over the fleet; null: no limit. */
  concurrency: number | null;
  /** The same of each kind. */
  kind_concurrency: number | null;
  rate: Rate | null;
  breaker: BreakerPolicy | null;
  on_dead: "block" | "skip";
  running: number;
  holds: Hold[];
  /** Hosts on which a file or a variable holds it. */
  off_here: string[];
}

/** In the order in which they were defined. */
export function queues(executor: Executor): Promise<QueueRow[]> {
  return executor.rows("select * from pawl.queues_v1()");
}
