/** Writes what the app's code defines into the catalogue, so that SQL, the router and every worker see it. */

import { register } from "../kernel/sql.ts";
import { DELIVERY_KIND } from "../outbox/routes.ts";
import { registerOutbox } from "../outbox/sql.ts";
import type { Executor } from "../store/executor.ts";
import type { App } from "./define-app.ts";

export async function registerApp(executor: Executor, app: App): Promise<void> {
  const owner = { application: app.name, revision: app.revision };
  const destinations = app.destinations.map(({ name, queue, retry, definition }) => ({
    name,
    queue,
    retry,
    definition,
  }));
  await register(executor, {
    ...owner,
    payload_bytes_max: app.maxPayloadBytes,
    queues: [
      ...app.queues.map(({ name, retry, timeoutMs, shards }) => ({
        name,
        retry,
        timeout_ms: timeoutMs,
        shards,
      })),
      ...destinations.map(({ queue, retry, definition }) => ({
        name: queue,
        retry,
        timeout_ms: definition.timeoutMs,
        shards: 1,
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
    destinations: destinations.map(({ name, queue, definition: { type, config } }) => ({
      name,
      queue,
      type,
      config,
    })),
    routes: app.routes.flatMap(({ pattern, destinations: targets }) =>
      targets.map((destination) => ({ pattern, destination })),
    ),
  });
}
