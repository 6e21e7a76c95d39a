/** Destinations as operators see them: who owns them, what holds them, and what waits. Never a secret. */

import { queueScope } from "../../../base/scope.ts";
import { type QueueStats, stats } from "../../../kernel/operator/sql.ts";
import { type Hold, type QueueRow, queues } from "../../../kernel/operator/switches/sql.ts";
import { maskSecrets } from "../../../secrets/keep-masked.ts";
import type { Executor } from "../../../store/executor.ts";
import { type Config, maskConfig } from "../../destinations/config.ts";
import type { DeliveryOrder } from "../../destinations/types.ts";
import { type Operators, ownerOf } from "../base.ts";
import { type DestinationRow, destinationRows } from "../sql.ts";

/**
 * `on`; `off`: new deliveries are held; `dropping`: off, and new deliveries are dropped; `open`: its breaker has paused it;
 * `probing`: that pause is over, and the next delivery is a probe; `recovering`: its breaker lets a few through.
 */
export type DestinationState = "on" | "off" | "dropping" | "open" | "probing" | "recovering";

export interface DestinationInfo {
  id: string;
  name: string;
  type: string;
  /** `operator`, or `code of app shop`: only the code changes it. */
  owner: string;
  application: string | null;
  state: DestinationState;
  /** When this state ends by itself, if that is known. */
  until: Date | null;
  /** Why it is not on. */
  reason: string | null;
  /** Hosts where a file or `PAWL_OFF` holds it. */
  offHosts: string[];
  /** The config, with secrets masked: `stored`, `env:NAME`, `file:/path`, `***`. */
  config: Config;
  order: DeliveryOrder;
  timeoutMs: number | null;
  /** Deliveries that wait. Counts above 10,000 are estimates. */
  waiting: number;
  running: number;
  dead: number;
  isEstimate: boolean;
  /** How long the oldest due delivery has waited. */
  oldestMs: number | null;
  definedAt: Date;
}

/** Describes one destination by name, or all. */
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
    offHosts: limits.get(row.queue)?.offHere ?? [],
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
    // what the code registers is masked then; a version before may have masked less
    config: row.application === null ? maskConfig(fields, row.config) : shownConfig(row.config),
    order: row.ordering,
    timeoutMs: row.timeout_ms,
    definedAt: row.defined_at,
  };
}

function shownConfig(config: Config): Config {
  return maskSecrets(config) as Config;
}

function stateOf(
  { drops }: DestinationRow,
  queue: QueueRow | undefined,
): Pick<DestinationInfo, "state" | "until" | "reason"> {
  const holds = queue?.holds ?? [];
  const off = holds.filter((hold) => hold.reason === "off");
  const own = off.find((hold) => hold.detail.scope !== "all") ?? off[0];
  const timeOf = ({ until }: Pick<Hold, "until">) => (until === null ? null : new Date(until));
  if (own !== undefined) {
    const { scope, by, why } = own.detail;
    const isOwn = scope === queueScope(queue?.queue ?? "");
    const what = isOwn ? "off" : `${scope} is off`;
    const reason = `${what} by ${by}${why === null ? "" : `: ${why}`}`;
    return { state: drops ? "dropping" : "off", until: timeOf(own), reason };
  }
  const [breaker] = queue?.breakers ?? [];
  if (breaker !== undefined) {
    return { state: breaker.phase, until: timeOf(breaker), reason: breaker.error };
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
