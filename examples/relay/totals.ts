/**
 * The state of the relay, from two witnesses: the business rows and the receiver's own logs. Pawl is never asked what is
 * lost or out of order; it is only asked what came in, what still waits and what is dead.
 */

import type { Pawl, SourceState } from "pawl";
import { type Arrivals, isBefore, type Place, type Receipts } from "./receipts.ts";
import { allRows, type BusinessRow, countRows, type Database, type RowCounts } from "./tables.ts";

/** Numbers of business rows: events, pings, summaries of the jobs, alarms, matters of the process. */
export interface Standing extends RowCounts {
  /** Events that Pawl has loaded from the feed into its inbox, in all. */
  loaded: number;
  /** Of these, the events that `store` stored. */
  stored: number;
  /** All events of the feed up to this id are stored or set aside. */
  position: number;
  /** What only an operator can change: the source is held, paused or off, or events were set aside. */
  trouble: string | null;
  /** Different events that the hub verified. */
  verified: number;
  /** Different events that the ledger verified. */
  ledger: number;
  /** Tasks in Pawl that have not ended: jobs, deliveries and runs. */
  pending: number;
  /** Dead tasks, without the expected ones. */
  dead: number;
  /** Dead deliveries to the broken destination. */
  expectedDead: number;
}

export interface Totals extends Standing {
  /** Deliveries to the hub that Pawl made for these events. */
  deliveries: number;
  /** Verified receipts of an event after its first: delivery is at least once. */
  duplicates: number;
  badSignatures: number;
  /** Events whose first receipt at the ledger came before that of an older event of the same aggregate. */
  inversions: number;
  /** Events without a verified receipt at the hub or at the ledger, plus events without their summary. */
  lost: number;
  /** Some of the lost. */
  missing: Missing[];
}

/** A lost event, with its verified receipts. */
export interface Missing extends BusinessRow {
  atHub: number;
  atLedger: number;
}

const MISSING_MAX = 5;
const EXPECTED_DEAD = "broken";
/** The queue of the runs of processes. */
const PROCESSES = "processes";
const SOURCE = "github";
const STANDS_STILL: readonly SourceState["status"][] = ["held", "paused", "off"];

export interface Witnesses {
  pawl: Pawl;
  business: Database;
  receipts: Receipts;
}

/** Cheap, so it can be called often. `verified` and `ledger` may count events of another database. */
export async function standing({ pawl, business, receipts }: Witnesses): Promise<Standing> {
  // Ask Pawl first: what it has settled by now, the witnesses have seen.
  const { queues, destinations } = pawl.app;
  const names = new Set([
    ...queues.map((one) => one.name),
    ...destinations.map((one) => one.queue),
    PROCESSES,
  ]);
  const stats = (await pawl.stats()).queues.filter((one) => names.has(one.queue));
  const broken = destinations.find((one) => one.name === EXPECTED_DEAD)?.queue;
  const fed = await feedStanding(pawl);
  const rows = await countRows(business);
  await receipts.refresh();
  return {
    ...fed,
    ...rows,
    verified: receipts.hub.size,
    ledger: receipts.ledger.size,
    pending: sum(stats.map((one) => one.ready + one.scheduled + one.waiting + one.running)),
    dead: sum(stats.filter((one) => one.queue !== broken).map((one) => one.dead)),
    expectedDead: sum(stats.filter((one) => one.queue === broken).map((one) => one.dead)),
  };
}

async function feedStanding({
  sources,
}: Pawl): Promise<Pick<Standing, "loaded" | "stored" | "position" | "trouble">> {
  const source = await sources.get(SOURCE);
  if (source === undefined) throw new Error(`no source ${SOURCE}: no worker has started yet`);
  const { status, received, storedCount, stored, setAside } = source;
  const isTrouble = STANDS_STILL.includes(status) || setAside > 0;
  return {
    loaded: received,
    stored: storedCount,
    position: Number(stored),
    trouble: isTrouble ? await whyFeed(sources) : null,
  };
}

/** One line for people. */
export async function whyFeed(sources: Pawl["sources"]): Promise<string> {
  return `source ${SOURCE}: ${(await sources.why(SOURCE)).line}`;
}

/** Exact counts, row by row. */
export async function totals(witnesses: Witnesses): Promise<Totals> {
  const { pawl, business, receipts } = witnesses;
  const now = await standing(witnesses);
  const rows = await allRows(business);
  const seen = rows.map((row) => ({
    ...row,
    atHub: countOf(receipts.hub, row),
    atLedger: countOf(receipts.ledger, row),
  }));
  const unverified = seen.filter((row) => row.atHub === 0 || row.atLedger === 0);
  const withoutSummary = seen.filter((row) => !row.has_summary);
  return {
    ...now,
    events: rows.length,
    jobs: rows.length - withoutSummary.length,
    deliveries: await countDeliveries(pawl),
    verified: seen.filter((row) => row.atHub > 0).length,
    ledger: seen.filter((row) => row.atLedger > 0).length,
    duplicates: sum(seen.flatMap((row) => [row.atHub, row.atLedger]).map(beyondFirst)),
    badSignatures: receipts.bad,
    inversions: countInversions(rows, receipts.ledger),
    lost: unverified.length + withoutSummary.length,
    missing: [...new Set([...unverified, ...withoutSummary])].slice(0, MISSING_MAX),
  };
}

/** True if everything is as it must be. */
export function isGood({ loaded, stored, events, ...all }: Totals): boolean {
  const isWhole = loaded === stored && stored === events && all.lost === 0 && all.dead === 0;
  if (all.trouble !== null) return false;
  const isFollowed = all.processesDone === all.processes;
  return isWhole && isFollowed && all.inversions === 0 && all.alarms >= all.pings;
}

function countOf(arrivals: Arrivals, { event_id }: BusinessRow): number {
  return event_id === null ? 0 : arrivals.count(event_id);
}

function beyondFirst(count: number): number {
  return Math.max(count - 1, 0);
}

/** @param rows in the order in which their events were recorded */
function countInversions(rows: readonly BusinessRow[], ledger: Arrivals): number {
  const latest = new Map<string, Place>();
  let inversions = 0;
  for (const { event_id, aggregate } of rows) {
    const first = event_id === null ? undefined : ledger.first(event_id);
    if (first === undefined) continue;
    const before = latest.get(aggregate);
    if (before === undefined || isBefore(before, first)) latest.set(aggregate, first);
    else inversions += 1;
  }
  return inversions;
}

async function countDeliveries({ store }: Pawl): Promise<number> {
  const [row] = await store.rows<{ count: number }>(
    `select count(*)::int as count
       from pawl.delivery v
       join pawl.destination d on d.id = v.destination_id and d.name = 'hub'
       join relay.event e on e.event_id = v.event_id`,
  );
  return row?.count ?? 0;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
