/** Writes what the app's code defines into the catalogue, so that SQL, the router and every worker see it. */

import { type QueueRow, register } from "../kernel/sql.ts";
import { DELIVERY_KIND, type Route } from "../outbox/routes.ts";
import { type RouteRow, registerOutbox } from "../outbox/sql.ts";
import type { QueueBehaviour } from "../queue/queue-options.ts";
import type { Executor } from "../store/executor.ts";
import type { App } from "./define-app.ts";

export async function registerApp(executor: Executor, app: App): Promise<void> {
  const owner = { application: app.name, revision: app.revision };
  const { destinations } = app;
  await register(executor, {
    ...owner,
    payload_bytes_max: app.maxPayloadBytes,
    queues: [
      ...app.queues.map((one) => ({
        name: one.name,
        retry: one.retry,
        timeout_ms: one.timeoutMs,
        shards: one.shards,
        ...behaviourRow(one),
      })),
      ...destinations.map(({ queue, retry, behaviour, definition }) => ({
        name: queue,
        retry,
        timeout_ms: definition.timeoutMs,
        shards: 1,
        ...behaviourRow(behaviour),
      })),
    ],
    streams: [
      ...app.jobs.map(({ queue, name, retry, timeoutMs }) => ({
        queue,
        kind: name,
        version: 1,
        retry,
        timeout_ms: timeoutMs,
      })),
      ...destinations.map(({ queue }) => ({
        queue,
        kind: DELIVERY_KIND,
        version: 1,
        retry: null,
        timeout_ms: null,
      })),
    ],
  });
  await registerOutbox(executor, {
    ...owner,
    destinations: destinations.map(({ name, queue, order, definition: { type, config } }) => ({
      name,
      queue,
      type,
      config,
      ordering: order,
    })),
    routes: app.routes.flatMap(({ destinations: targets, ...route }) =>
      targets.map((destination) => routeRow(route, destination)),
    ),
  });
}

function routeRow(
  { pattern, where, match, priority, active }: Omit<Route, "destinations">,
  destination: string,
): RouteRow {
  return { pattern, destination, filter: where, path: match, priority, active };
}

function behaviourRow({
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
    rate: rate === null ? null : { limit: rate.limit, per_ms: rate.perMs, burst: rate.burst },
    on_dead: onDead,
    keep:
      keepMs === null
        ? null
        : Object.fromEntries(Object.entries(keepMs).map(([key, ms]) => [`${key}_ms`, ms])),
  };
}
