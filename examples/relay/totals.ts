/**
 * Where the relay stands, from two witnesses: the business rows and the receiver's own logs. What counts as lost is
 * never asked of Pawl; only what still waits and what is dead is.
 */

import type { Pawl } from "pawl";
import type { Receipts } from "./receipts.ts";
import { allRows, type BusinessRow, countRows, type Database } from "./tables.ts";

export interface Standing {
  /** Business rows. */
  events: number;
  /** Summaries: what the jobs wrote. */
  jobs: number;
  /** Different events that the receiver verified. */
  verified: number;
  /** Tasks in Pawl that are not at their end: jobs and deliveries. */
  pending: number;
  dead: number;
}

export interface Totals extends Standing {
  /** Deliveries that Pawl made of these events. */
  deliveries: number;
  /** Verified receipts of an event beyond its first: delivery is at least once. */
  duplicates: number;
  badSignatures: number;
  /** Events without a verified receipt, plus events without their summary. */
  lost: number;
  /** Feed ids of some of the lost, and their events. */
  missing: BusinessRow[];
}

const MISSING_MAX = 5;

export interface Witnesses {
  pawl: Pawl;
  business: Database;
  receipts: Receipts;
}

/** Cheap: for looking again and again. `verified` may count events of another database. */
export async function standing({ pawl, business, receipts }: Witnesses): Promise<Standing> {
  // Pawl first: what it has settled by now, the witnesses have seen.
  const queues = new Set([
    ...pawl.app.queues.map((one) => one.name),
    ...pawl.app.destinations.map((one) => one.queue),
  ]);
  const stats = (await pawl.stats()).filter((one) => queues.has(one.queue));
  const rows = await countRows(business);
  await receipts.refresh();
  return {
    ...rows,
    verified: receipts.size,
    pending: sum(stats.map((one) => one.ready + one.scheduled + one.running)),
    dead: sum(stats.map((one) => one.dead)),
  };
}

/** Exact, row by row. */
export async function totals(witnesses: Witnesses): Promise<Totals> {
  const { pawl, business, receipts } = witnesses;
  const now = await standing(witnesses);
  const rows = await allRows(business);
  const receiptsOf = (row: BusinessRow): number =>
    row.event_id === null ? 0 : receipts.count(row.event_id);
  const unverified = rows.filter((row) => receiptsOf(row) === 0);
  const withoutSummary = rows.filter((row) => !row.has_summary);
  return {
    ...now,
    events: rows.length,
    jobs: rows.length - withoutSummary.length,
    deliveries: await countDeliveries(pawl),
    verified: rows.length - unverified.length,
    duplicates: sum(rows.map((row) => Math.max(receiptsOf(row) - 1, 0))),
    badSignatures: receipts.bad,
    lost: unverified.length + withoutSummary.length,
    missing: [...new Set([...unverified, ...withoutSummary])].slice(0, MISSING_MAX),
  };
}

async function countDeliveries({ store }: Pawl): Promise<number> {
  const [row] = await store.rows<{ count: number }>(
    `select count(*)::int as count
       from pawl.delivery v join relay.event e on e.event_id = v.event_id`,
  );
  return row?.count ?? 0;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
