/** What a worker runs for the inbox: the loader and the mover of the app's sources. */

import { hostname } from "node:os";
import { PawlError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { Loop } from "../base/loop.ts";
import { didYouMean } from "../base/suggest.ts";
import { localSwitches } from "../control/local-switches.ts";
import { loader } from "../inbox/loader.ts";
import { mover } from "../inbox/mover.ts";
import { databaseNow, hasInboxWork } from "../inbox/sql.ts";
import type { HttpSender } from "../requests/sender.ts";
import type { Store } from "../store/store.ts";
import type { App } from "./define-app.ts";
import { writeEvent, writeTasks } from "./write.ts";

const SWITCHES_MS = 1_000;

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
  if (sources.length === 0) return async () => false;
  const since = await databaseNow(store);
  const names = sources.map((source) => source.name);
  const load = roles.includes("loader") ? names : [];
  const kept = roles.includes("mover") ? names : [];
  return () => hasInboxWork(store, { load, store: kept, since });
}

export interface InboxLoops {
  readonly loops: Loop[];
  /** Nothing is being loaded or stored, and at the last look nothing was to be. */
  readonly isIdle: () => boolean;
}

export function inboxLoops(
  { store, app, http, log }: { store: Store; app: App; http: HttpSender; log: Logger },
  roles: readonly WorkRole[],
  kernel: { isIdle: () => boolean; wake: () => void },
): InboxLoops {
  const { sources } = app;
  if (sources.length === 0) return { loops: [], isIdle: () => true };
  const isOffHere = offHere();
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
  };
}

/** The files and the variable that hold everything on this host, looked at once a second. */
function offHere(): () => Promise<boolean> {
  const switches = localSwitches();
  let lookedAt = Number.NEGATIVE_INFINITY;
  let isOff = false;
  return async () => {
    if (performance.now() - lookedAt < SWITCHES_MS) return isOff;
    isOff = (await switches.read()).includes("all");
    lookedAt = performance.now();
    return isOff;
  };
}
