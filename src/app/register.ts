/** Writes what the app's code defines into the catalogue, so that SQL, the router and every worker see it. */

import { registerSources } from "../inbox/register-sources.ts";
import { type QueueRow, register } from "../kernel/sql.ts";
import { behaviourRow } from "../outbox/queue-row.ts";
import { DELIVERY_KIND, type Route } from "../outbox/routes.ts";
import { type RouteRow, registerOutbox } from "../outbox/sql.ts";
import { REQUEST_RETRY, REQUESTS_QUEUE, requestsLimit } from "../requests/dispatch/queue.ts";
import type { Executor } from "../store/executor.ts";
import type { Store } from "../store/store.ts";
import { inForeignTransaction } from "../store/transaction.ts";
import type { App } from "./define-app.ts";

/** All of it or nothing: a route that is refused leaves the queues as they were. */
export async function registerApp(store: Store, app: App): Promise<void> {
  await store.transaction((tx) =>
    inForeignTransaction(tx, store.render, async (executor) => {
      await registerAll(executor, app);
      return true;
    }),
  );
}

async function registerAll(executor: Executor, app: App): Promise<void> {
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
      ...(app.requests.isDeclared ? [requestsRow(app)] : []),
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
  await registerSources(executor, owner, app.sources);
}

/** @throws PawlError `invalid_environment` */
export function requestsRow({ requests }: App): QueueRow {
  return {
    name: REQUESTS_QUEUE,
    retry: REQUEST_RETRY,
    timeout_ms: null,
    shards: 1,
    ...behaviourRow(requestsLimit(requests.behaviour)),
    expired_is_dead: true,
  };
}

function routeRow(
  { pattern, where, match, priority, active }: Omit<Route, "destinations">,
  destination: string,
): RouteRow {
  return { pattern, destination, filter: where, path: match, priority, active };
}
