/** Writes what the app's code defines into the catalogue, so that SQL, the router and every worker see it. */

import type { Logger } from "../base/log.ts";
import type { AppBase, Part, PartTools } from "../kernel/part.ts";
import { type Definitions, register } from "../kernel/sql.ts";
import type { Executor } from "../store/executor.ts";
import type { Store } from "../store/store.ts";
import { inForeignTransaction } from "../store/transaction.ts";
import { type AppRow, apps, isCurrentRevision, ownNames } from "./sql.ts";

/**
 * All of it or nothing: a route that is refused leaves the queues as they were.
 * @throws PawlError `owned_by_code` naming what another app defines
 */
export async function registerApp<App extends AppBase>(
  { store, log }: { store: Store; log: Logger },
  app: App,
  parts: readonly Registered<App>[],
): Promise<void> {
  const [before, after] = await store.ownTransaction((tx) =>
    inForeignTransaction(tx, store.render, async (executor) => {
      const [had] = await apps(executor, app.name);
      await registerAll(executor, app, parts);
      return [had, had?.workers ? (await apps(executor, app.name))[0] : undefined];
    }),
  );
  if (before !== undefined && after?.revision === before.revision) warnOfLess(log, before, after);
}

/** A process that defines less takes away what the live workers of its app run. With a higher revision that is a new version; else mostly a mistake. */
function warnOfLess(log: Logger, before: AppRow, after: AppRow): void {
  const left = new Map(Object.entries(after));
  const less = Object.entries(before)
    .filter(([kind, had]) => kind !== "workers" && typeof had === "number" && left.get(kind) < had)
    .map(([kind, had]) => `${kind} ${had} -> ${left.get(kind)}`);
  if (less.length === 0) return;
  const { name, workers, revision } = after;
  log.warn(
    { app: name, revision, workers },
    `app "${name}" has fewer definitions now, while workers of it live: ${less.join(", ")}. What is gone does not run, until a process connects that ` +
      'defines it. All processes of an app have to define the same; one that only writes connects with `role: "producer"`; a new version raises `revision`',
  );
}

type Stream = Definitions["streams"][number];
type Registered<App> = Pick<
  Part<PartTools & { app: App }>,
  "catalogue" | "register" | "registered"
>;

async function registerAll<App extends AppBase>(
  executor: Executor,
  app: App,
  parts: readonly Registered<App>[],
): Promise<void> {
  const { name: application, revision } = app;
  const all = parts.map((part) => part.catalogue?.(app) ?? {});
  const catalogue = {
    application,
    revision,
    payload_bytes_max: app.maxPayloadBytes,
    queues: all.flatMap(({ queues = [] }) => queues),
    streams: all.flatMap(({ streams = [] }) => streams.map(streamOf)),
  };
  const names = Object.assign({}, ...all.map((one) => one.names)) as Record<string, string[]>;
  const named = Object.entries(names).map(([kind, list]) => [kind, list.map((name) => ({ name }))]);
  await ownNames(executor, { ...catalogue, ...Object.fromEntries(named) });
  await register(executor, catalogue);
  const isCurrent = await isCurrentRevision(executor, application, revision);
  const owner = { application, revision, isCurrent };
  for (const part of parts) await part.register?.(executor, owner, app);
  for (const part of parts) await part.registered?.(executor, owner, app);
}

function streamOf({ queue, kind, version, retry, timeout_ms }: Stream): Stream {
  return { queue, kind, version, retry, timeout_ms };
}
