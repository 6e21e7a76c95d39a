/** What operators see and change of the gate: switches, and queues with what holds them. */

import { setTimeout as wait } from "node:timers/promises";
import { backoffMs } from "../../../base/backoff.ts";
import { ownJson, results } from "../../../operate/results.ts";
import type { Act } from "../../../operate/sql.ts";
import type { Executor } from "../../../store/executor.ts";
import type { QuietFacts } from "../why-reason.ts";

export interface OffOptions extends Act {
  /** As `requireScope` returned it. */
  scope: string;
  /**
   * Turned on again automatically at this time, or `forMs` from now by the database's clock. Without both: when an operator
   * turns it on.
   */
  until?: Date | undefined;
  forMs?: number | undefined;
}

/**
 * From now on nothing of the scope is claimed. `untilOff` waits for claims that are on their way to a worker.
 * @throws PawlError `invalid_option`, `unknown_queue`
 */
export async function switchOff(
  executor: Executor,
  { scope, until, forMs, by, why, action }: OffOptions,
): Promise<void> {
  await executor.rows(
    `select pawl.off_v1($1, $2, $3, coalesce($4::timestamptz, pawl.now() + $5::float8 * interval '1 ms'), $6)`,
    [scope, by, why ?? null, until ?? null, forMs ?? null, action ?? null],
  );
}

const UNSEEN_MS = { baseMs: 2, maxMs: 100 };

/**
 * When this resolves, nothing of a scope that was turned off starts: each live worker has confirmed that no earlier claim is
 * still on its way. For a silent worker this waits until its lease ends.
 */
export async function untilOff(executor: Executor, scope: string): Promise<void> {
  for (let looks = 1; ; looks += 1) {
    const [row] = await executor.rows<{ unseen: number }>(
      "select pawl.unseen_off_v1($1) as unseen",
      [scope],
    );
    if ((row?.unseen ?? 0) === 0) return;
    await wait(backoffMs(looks, UNSEEN_MS));
  }
}

/** @returns true if it was off */
export async function switchOn(
  executor: Executor,
  { scope, by, why, action }: Act & { scope: string },
): Promise<boolean> {
  const [row] = await executor.rows<{ was_off: boolean }>(
    "select pawl.on_v1($1, $2, $3, $4) as was_off",
    [scope, by, why ?? null, action ?? null],
  );
  return row?.was_off ?? false;
}

export interface SwitchRow {
  scope: string;
  offBy: string;
  why: string | null;
  since: Date;
  /** null: until an operator turns it on. */
  until: Date | null;
  /** Number of its tasks that still run. */
  running: number;
  /** For `all`, sources and commands: named leases under which something still runs, such as `source:<name>`. */
  leases: string[];
  /** For `all`: number of batches of events that are still being stored. */
  batches: number;
}

/** What of it still runs, as text; empty if nothing does. */
export function stillRunning({
  running,
  leases,
  batches,
}: Pick<SwitchRow, "running" | "leases" | "batches">): string {
  const parts = [
    ...(running > 0 ? [`${running} ${running === 1 ? "task" : "tasks"}`] : []),
    ...leases,
    ...(batches > 0 ? [`${batches} ${batches === 1 ? "batch" : "batches"} being stored`] : []),
  ];
  return parts.join(", ");
}

/** Returns what is off for all workers. */
export function switches(executor: Executor): Promise<SwitchRow[]> {
  return results(executor, "select * from pawl.switches_v1()");
}

/** Returns all scopes that exist, as they are printed. */
export async function scopes(executor: Executor): Promise<string[]> {
  const rows = await executor.rows<{ scope: string }>(
    "select distinct s as scope from pawl.scopes_v1() s order by 1",
  );
  return rows.map((row) => row.scope);
}

export interface OffHereRow {
  host: string;
  /** What a file or `PAWL_OFF` on this host holds, as its workers report. */
  scopes: string[];
}

export function offHere(executor: Executor): Promise<OffHereRow[]> {
  return executor.rows(
    `select w.host, array_agg(distinct s.scope order by s.scope) as scopes
       from pawl.worker w cross join lateral pg_catalog.unnest(w.off_here) s (scope)
      where w.ended_at is null and w.lease_until > pawl.now() group by w.host order by w.host`,
  );
}

/** Why a queue's tasks cannot start now. */
export type Hold = { since: Date | null; until: Date | null } & (
  | { reason: "off"; detail: { scope: string; by: string; why: string | null } }
  | { reason: "quiet"; detail: QuietFacts }
  | { reason: "concurrency" | "kind_concurrency"; detail: { limit: number; running: number } }
  | { reason: "rate" | "kind_rate"; detail: Rate }
  | { reason: "breaker"; detail: { trips: number; error: string | null; starts: number } }
);

export interface Rate {
  limit: number;
  perMs: number;
  burst: number;
}

/** When the breaker opens, and for how long. */
export interface Breaker {
  failures: number;
  ratio: number;
  windowMs: number;
  openMs: number;
  openMsMax: number;
}

export interface QueueRow {
  queue: string;
  application: string;
  /** Maximum number of tasks at once over all workers; null: no limit. */
  concurrency: number | null;
  /** The same for each kind. */
  kindConcurrency: number | null;
  rate: Rate | null;
  /** The same for each kind. */
  kindRate: Rate | null;
  breaker: Breaker | null;
  onDead: "block" | "skip";
  running: number;
  holds: Hold[];
  /** Hosts where a file or `PAWL_OFF` holds it. */
  offHere: string[];
  /** Breakers of its kinds that are not closed. */
  breakers: BreakerState[];
}

export interface BreakerState {
  kind: string;
  /** `probing`: its pause is over, and the next attempt is a probe. */
  phase: "open" | "probing" | "recovering";
  since: Date;
  until: Date | null;
  /** How many attempts may run at once now. */
  starts: number;
  error: string | null;
}

/** In the order of definition. */
export async function queues(executor: Executor): Promise<QueueRow[]> {
  const rows = await results<QueueRow>(executor, "select * from pawl.queues_v1()");
  return rows.map(
    ({ rate, breaker, holds, breakers, ...row }) =>
      ({ ...row, ...(ownJson({ rate, breaker, holds, breakers }) as object) }) as QueueRow,
  );
}
