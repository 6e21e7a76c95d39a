/** Destinations as people see them: whose they are, whether anything holds them, and what waits. Never a secret. */

import { type Hold, type QueueRow, queues } from "../../kernel/people/gate/sql.ts";
import { type QueueStats, stats } from "../../kernel/people/sql.ts";
import type { Executor } from "../../store/executor.ts";
import { type Config, maskConfig } from "../destinations/config.ts";
import type { DeliveryOrder } from "../destinations/types.ts";
import { type Operators, ownerOf } from "./base.ts";
import { type DestinationRow, destinationRows } from "./sql.ts";

/**
 * `on`; `off`: what comes is held; `dropping`: off, and what comes goes nowhere; `open`: its breaker has paused it;
 * `recovering`: its breaker lets a few through.
 */
export type DestinationState = "on" | "off" | "dropping" | "open" | "recovering";

export interface DestinationInfo {
  id: string;
  name: string;
  type: string;
  /** `operator`, or `code of app shop`, which only its code changes. */
  owner: string;
  application: string | null;
  state: DestinationState;
  /** When that ends by itself, as far as is known. */
  until: Date | null;
  /** Why it is not on. */
  reason: string | null;
  /** Secrets masked: `stored`, `env:NAME`, `file:/path`, `***`. */
  config: Config;
  order: DeliveryOrder;
  timeoutMs: number | null;
  /** Deliveries that have not ended and do not run. Counts beyond 10,000 are estimates. */
  waiting: number;
  running: number;
  dead: number;
  isEstimate: boolean;
  /** How long the first of those that are due has waited. */
  oldestMs: number | null;
  definedAt: Date;
}

/** By name; all of them without one. */
export async function describe(
  { types }: Pick<Operators, "types">,
  executor: Executor,
  name?: string,
): Promise<DestinationInfo[]> {
  const rows = await destinationRows(executor, name);
  if (rows.length === 0) return [];
  const limits = new Map((await queues(executor)).map((row) => [row.queue, row]));
  const counts = new Map((await stats(executor)).map((row) => [row.queue, row]));
  return rows.map((row) => ({
    ...infoOf(row, types),
    ...stateOf(row, limits.get(row.queue)),
    ...countsOf(counts.get(row.queue)),
  }));
}

function infoOf(row: DestinationRow, types: Operators["types"]) {
  const fields = types.find((one) => one.type === row.type)?.fields;
  return {
    id: String(row.id),
    name: row.name,
    type: row.type,
    owner: ownerOf(row.application),
    application: row.application,
    // what the code registers is masked already
    config: row.application === null ? maskConfig(fields, row.config) : row.config,
    order: row.ordering,
    timeoutMs: row.timeout_ms,
    definedAt: row.defined_at,
  };
}

function stateOf(
  { drops }: DestinationRow,
  queue: QueueRow | undefined,
): Pick<DestinationInfo, "state" | "until" | "reason"> {
  const holds = queue?.holds ?? [];
  const off = holds.filter((hold) => hold.reason === "off");
  const own = off.find((hold) => hold.detail.scope !== "all") ?? off[0];
  const timeOf = (hold: Hold) => (hold.until === null ? null : new Date(hold.until));
  if (own !== undefined) {
    const { scope, by, why } = own.detail;
    const what = scope === "all" ? "all is off" : "off";
    const reason = `${what} by ${by}${why === null ? "" : `: ${why}`}`;
    return { state: drops ? "dropping" : "off", until: timeOf(own), reason };
  }
  const breaker = holds.find((hold) => hold.reason === "breaker");
  if (breaker !== undefined) {
    const isOpen = breaker.until !== null || breaker.detail.starts <= 1;
    const reason = breaker.detail.error;
    return { state: isOpen ? "open" : "recovering", until: timeOf(breaker), reason };
  }
  return { state: "on", until: null, reason: null };
}

function countsOf(row: QueueStats | undefined) {
  return {
    waiting: (row?.ready ?? 0) + (row?.scheduled ?? 0) + (row?.waiting ?? 0),
    running: row?.running ?? 0,
    dead: row?.dead ?? 0,
    isEstimate: row?.isEstimate ?? false,
    oldestMs: row?.oldestReadyMs ?? null,
  };
}
