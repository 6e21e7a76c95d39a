/**
 * What a user of the server holds. Each user keeps one idle connection until it releases the server or dies,
 * so PostgreSQL itself counts the users, and none that was killed is counted.
 */

import { setTimeout as wait } from "node:timers/promises";
import type { Client } from "pg";
import { withFolderLock } from "./folder-lock.ts";
import { isKept } from "./keep.ts";
import { stopServer } from "./launch.ts";
import type { Place } from "./place.ts";
import { type AnsweringServer, lookForServer } from "./sighting.ts";
import { asEmbeddedError } from "./system-error.ts";

const POLL_MS = 30;
/** How long a connection that was just closed may still be seen by the server; a machine that is slow looks more slowly. */
const LEAVING_MS_MAX = 1_000;

export interface EmbeddedServer {
  /** Of the database `pawl`, as a superuser; for node-postgres and libpq. */
  url: string;
  dataDir: string;
  pid: number;
  version: string;
  /** False when it was running already. */
  startedHere: boolean;
  /** Stops the server if nobody else is connected, unless a person asked for it to stay (`keep`). */
  release(): Promise<void>;
}

export function handleOf(
  place: Place,
  server: AnsweringServer,
  startedHere: boolean,
): EmbeddedServer {
  const { client, pidFile, url, version } = server;
  const { pid } = pidFile;
  letProcessEnd(client, true);
  let released: Promise<void> | undefined;
  const release = async () => {
    letProcessEnd(client, false); // else a process with nothing else to do ends before the goodbye
    await client.end().catch(() => undefined);
    if (await isKept(place.dir)) return;
    await asEmbeddedError(() => withFolderLock(place.dir, () => stopIfUnused(place, pid)));
  };
  return {
    url,
    dataDir: place.dataDir,
    pid,
    version,
    startedHere,
    release: () => {
      released ??= release();
      return released;
    },
  };
}

/** node-postgres has both methods; its types do not list them. */
function letProcessEnd(client: Client & { ref?: () => void; unref?: () => void }, may: boolean) {
  if (may) client.unref?.();
  else client.ref?.();
}

/** Lets go of a server that was found but cannot be used. To be called under the lock. */
export async function leave(place: Place, { client, pidFile }: AnsweringServer): Promise<void> {
  await client.end().catch(() => undefined);
  if (!(await isKept(place.dir))) await stopIfUnused(place, pidFile.pid);
}

async function stopIfUnused(place: Place, pid: number): Promise<void> {
  const sighting = await lookForServer(place);
  if (sighting.kind !== "answering") return;
  let isUnused = false;
  try {
    isUnused = sighting.pidFile.pid === pid && (await hasNoOthers(sighting.client));
  } finally {
    await sighting.client.end();
  }
  if (isUnused) await stopServer(place, sighting.pidFile);
}

async function hasNoOthers(client: Client): Promise<boolean> {
  for (let waitedMs = 0; ; waitedMs += POLL_MS) {
    const { rowCount } = await client.query(
      `select 1 from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()`,
    );
    if (rowCount === 0) return true;
    if (waitedMs >= LEAVING_MS_MAX) return false;
    await wait(POLL_MS);
  }
}
