/** Tests of the router and of destinations below the worker: a catalogue written by hand, events, and what came of them. */

import type { Executor } from "../../src/store/executor.ts";

export interface CatalogueOptions {
  application?: string;
  revision?: number;
  destinations: readonly {
    name: string;
    ordering?: string;
    breaker?: Record<string, number> | null;
    concurrency?: number;
  }[];
  routes?: readonly {
    pattern: string;
    destination: string;
    priority?: number;
    filter?: unknown;
    path?: string;
    active?: boolean;
  }[];
}

/** Registers as an app does at connect. */
export async function defineDestinations(
  executor: Executor,
  options: CatalogueOptions,
): Promise<void> {
  const { application = "test", revision = 0, destinations, routes = [] } = options;
  const queue = (name: string) => `destination:${name}`;
  await executor.rows("select pawl.register_v1($1)", [
    JSON.stringify({
      application,
      revision,
      payload_bytes_max: 1_048_576,
      queues: destinations.map(({ name, breaker = null, concurrency = null }) => ({
        name: queue(name),
        retry: { attempts: 5, delays_ms: [0], jitter: 0, until_ms: null },
        breaker,
        concurrency,
      })),
      streams: destinations.map(({ name }) => ({ queue: queue(name), kind: "delivery" })),
    }),
  ]);
  await executor.rows("select pawl.register_outbox_v1($1)", [
    JSON.stringify({
      application,
      revision,
      destinations: destinations.map(({ name, ordering = "none" }) => ({
        name,
        queue: queue(name),
        type: "test",
        config: {},
        ordering,
      })),
      routes,
    }),
  ]);
}

/** A destination of the operators. */
export async function putDestination(executor: Executor, name: string, more = {}): Promise<void> {
  const destination = { name, type: "null", config: {}, queue: {}, ...more };
  await executor.rows("select pawl.put_destination_v1($1, true, null, 'ada', null)", [
    JSON.stringify(destination),
  ]);
}

export async function putRoute(
  executor: Executor,
  pattern: string,
  destination: string,
  more = {},
): Promise<number> {
  const [row] = await executor.rows<{ id: number }>(
    "select pawl.put_route_v1(null, $1, 'ada', null) as id",
    [JSON.stringify({ pattern, destination, ...more })],
  );
  return row?.id ?? 0;
}

/** Records events about aggregates of type `order`; answers their ids in order. */
export async function recordEvents(
  executor: Executor,
  events: readonly { name: string; aggregate?: string; payload?: unknown }[],
): Promise<string[]> {
  const ids: string[] = [];
  for (const { name, aggregate = "1", payload = {} } of events) {
    const [row] = await executor.rows<{ id: string }>(
      "select pawl.record($1, 'order', $2, $3) as id",
      [name, aggregate, JSON.stringify(payload)],
    );
    ids.push(row?.id ?? "");
  }
  return ids;
}

/** One pass of the router; null when another was at it. */
export async function routeOnce(
  executor: Executor,
  limit = 500,
  deliveries = 5_000,
): Promise<number | null> {
  const [row] = await executor.rows<{ routed: number | null }>(
    "select pawl.route_v1($1, $2) as routed",
    [limit, deliveries],
  );
  return row?.routed ?? null;
}

/** Where an event goes, by name, sorted. */
export async function targetsOf(executor: Executor, event: string): Promise<string[]> {
  const rows = await executor.rows<{ name: string }>(
    `select d.name from pawl.delivery v join pawl.destination d on d.id = v.destination_id
      where v.event_id = $1 order by d.name`,
    [event],
  );
  return rows.map((row) => row.name);
}
