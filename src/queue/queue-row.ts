/** How the limits of a queue are written for the catalogue, whoever defines it: code or an operator. */

import type { QueueRow } from "../kernel/sql.ts";
import type { QueueBehaviour } from "./queue-options.ts";

export function behaviourRow({
  concurrency,
  kindConcurrency,
  rate,
  breaker,
  onDead,
  keepMs,
}: QueueBehaviour): Omit<QueueRow, "name" | "retry" | "timeout_ms" | "shards"> {
  return {
    concurrency,
    kind_concurrency: kindConcurrency,
    breaker,
    rate: rateRow(rate),
    on_dead: onDead,
    keep:
      keepMs === null
        ? null
        : Object.fromEntries(Object.entries(keepMs).map(([key, ms]) => [`${key}_ms`, ms])),
  };
}

export function rateRow(rate: QueueBehaviour["rate"]): NonNullable<QueueRow["rate"]> | null {
  return rate === null ? null : { limit: rate.limit, per_ms: rate.perMs, burst: rate.burst };
}
