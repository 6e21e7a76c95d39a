/** What a worker runs for the inbox: the loader and the mover of the app's sources. */

import { hostname } from "node:os";
import { PawlError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { Loop } from "../base/loop.ts";
import { didYouMean } from "../base/suggest.ts";
import { loader } from "../inbox/loader.ts";
import { mover } from "../inbox/mover.ts";
import { databaseNow, hasInboxWork } from "../inbox/sql.ts";
import type { WorkerView } from "../kernel/worker.ts";
import type { HttpSender } from "../requests/sender.ts";
import type { Store } from "../store/store.ts";
import type { App } from "./define-app.ts";
import { writeEvent, writeTasks } from "./write.ts";

const ROLES = ["worker", "loader", "mover"] as const;
export type WorkRole = (typeof ROLES)[number];

/** @throws PawlError `invalid_option` */
export function wantedRoles(given: readonly WorkRole[] = ROLES): readonly WorkRole[] {
  const known: readonly string[] = ROLES;
  const bad = given.find((role) => !known.includes(role));
  if (bad !== undefined) {
    throw new PawlError(
      "invalid_option",
      `work: no role "${bad}"; ${didYouMean(String(bad), known)}`,
    );
  }
  if (given.length > 0) return given;
  throw new PawlError(
    "invalid_option",
    `work: expected \`roles\` to name at least one of ${ROLES.join(", ")}, got []`,
  );
}

/** For a worker that ends when nothing is left: asks, counting from now. */
export async function isInboxWorkLeft(
  store: Store,
  { sources }: App,
  roles: readonly WorkRole[],
): Promise<() => Promise<boolean>> {
  const names = sources.map((source) => source.name);
  const load = roles.includes("loader") ? names : [];
  const kept = roles.includes("mover") ? names : [];
  if (load.length + kept.length === 0) return async () => false;
  const since = await databaseNow(store);
  return () => hasInboxWork(store, { load, store: kept, since });
}

/** As the worker's row names them beside its queues, so that `why` can tell when nobody loads or stores a source. */
export function servedSources({ sources }: App, roles: readonly WorkRole[]): string[] {
  return sources.flatMap(({ name }) => [
    ...(roles.includes("loader") ? [`source:${name}`] : []),
    ...(roles.includes("mover") ? [`inbox:${name}`] : []),
  ]);
}

export interface InboxLoops {
  readonly loops: Loop[];
  /** Nothing is being loaded or stored, and at the last look nothing was to be. */
  readonly isIdle: () => boolean;
  /** A file or a variable of this host holds loading and storing. */
  readonly isOffHere: () => boolean;
}

export function inboxLoops(
  { store, app, http, log }: { store: Store; app: App; http: HttpSender; log: Logger },
  roles: readonly WorkRole[],
  kernel: WorkerView,
): InboxLoops {
  const { sources } = app;
  const isOffHere = () => kernel.offHere().includes("all");
  if (sources.length === 0) return { loops: [], isIdle: () => true, isOffHere };
  const payloadBytesMax = app.maxPayloadBytes;
  const shared = { sources, log, payloadBytesMax, isOffHere };
  const moving = roles.includes("mover")
    ? mover({
        ...shared,
        ...kernel,
        store,
        writes: (tx) => ({
          enqueue: async (job, input) => {
            const [row] = await writeTasks(app, store, job, [input], { tx });
            return { id: row?.id ?? "" };
          },
          record: (name, event) => writeEvent(app, store, name, event, { tx }),
        }),
      })
    : undefined;
  const loading = roles.includes("loader")
    ? loader({
        ...shared,
        executor: store,
        http,
        holder: `${app.name}@${hostname()} ${process.pid}`,
        received: () => moving?.wake(),
      })
    : undefined;
  return {
    loops: [loading, moving].filter((one) => one !== undefined),
    isIdle: () => (loading?.isIdle ?? true) && (moving?.isIdle ?? true),
    isOffHere,
  };
}
