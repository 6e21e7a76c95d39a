/** Stopping and asking, for people: unlike `release()`, stop ends the server whoever uses it. */

import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { PawlError } from "../../base/errors.ts";
import { withFolderLock } from "./folder-lock.ts";
import { setKept } from "./keep.ts";
import { stopServer } from "./launch.ts";
import { embeddedDir, findPlace, type Place } from "./place.ts";
import { lookForServer } from "./sighting.ts";
import { asEmbeddedError } from "./system-error.ts";

const DISCOVERY_MS_MAX = 10_000;
const POLL_MS = 50;

export interface EmbeddedDirOptions {
  /** `PAWL_DIR`, else `.pawl` in the working directory. */
  dir?: string;
}

export interface StopResult {
  /** False when none was running. */
  stopped: boolean;
  dataDir: string;
  pid?: number;
}

export interface EmbeddedStatus {
  /** It answers. */
  running: boolean;
  dataDir: string;
  pid?: number;
  url?: string;
  version?: string;
  startedAt?: Date;
  /** Of the data folder; absent when there is none. */
  sizeBytes?: number;
}

/** A fast, clean shutdown: clients are disconnected, nothing that was committed is lost. */
export async function stopEmbedded(options: EmbeddedDirOptions = {}): Promise<StopResult> {
  return asEmbeddedError(async () => {
    const dir = embeddedDir(options.dir);
    const place = await findPlace(dir);
    if (place === undefined) return { stopped: false, dataDir: path.join(dir, "data") };
    return withFolderLock(place.dir, async () => {
      await setKept(place.dir, false);
      return stopUnderLock(place);
    });
  });
}

async function stopUnderLock(place: Place): Promise<StopResult> {
  const { dataDir } = place;
  const deadline = Date.now() + DISCOVERY_MS_MAX;
  for (;;) {
    const sighting = await lookForServer(place);
    if (sighting.kind === "absent" || sighting.kind === "stale") return { stopped: false, dataDir };
    const { pidFile } = sighting;
    if (sighting.kind === "answering") await sighting.client.end();
    if (sighting.kind === "answering" || sighting.isOurs) {
      await stopServer(place, pidFile);
      return { stopped: true, dataDir, pid: pidFile.pid };
    }
    if (Date.now() > deadline) {
      throw new PawlError(
        "embedded_failed",
        `embedded PostgreSQL: process ${pidFile.pid}, named by ${path.join(dataDir, "postmaster.pid")}, does not answer and could be another program; end it yourself`,
        { data: { dataDir, pid: pidFile.pid }, cause: sighting.error },
      );
    }
    await wait(POLL_MS);
  }
}

/** Looks only: creates and changes nothing. */
export async function embeddedStatus(options: EmbeddedDirOptions = {}): Promise<EmbeddedStatus> {
  return asEmbeddedError(async () => {
    const dir = embeddedDir(options.dir);
    const place = await findPlace(dir);
    if (place === undefined) return { running: false, dataDir: path.join(dir, "data") };
    const { dataDir } = place;
    const size = await sizeOf(dataDir);
    const common = { dataDir, ...(size === undefined ? {} : { sizeBytes: size }) };
    const sighting = await lookForServer(place);
    if (sighting.kind !== "answering") return { running: false, ...common };
    await sighting.client.end();
    const { pid, startedAt } = sighting.pidFile;
    const { url, version } = sighting;
    return { running: true, ...common, pid, url, version, startedAt };
  });
}

/** Files come and go while we count; undefined when there is no folder, or it is closed to us. */
async function sizeOf(folder: string): Promise<number | undefined> {
  const entries = await readdir(folder, { recursive: true }).catch(() => undefined);
  if (entries === undefined) return undefined;
  let total = 0;
  for (const entry of entries) {
    const found = await stat(path.join(folder, entry)).catch(() => undefined);
    if (found?.isFile()) total += found.size;
  }
  return total;
}
