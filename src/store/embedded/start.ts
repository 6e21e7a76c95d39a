/** Finds the running server of our folder, or starts it; whoever comes second gets the first one's server. */

import { access } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";
import type { Client } from "pg";
import { PawlError } from "../../base/errors.ts";
import { type Logger, silentLogger } from "../../base/log.ts";
import { messageOf } from "../../base/thrown.ts";
import { addressOf, DATABASE, socketPath } from "./address.ts";
import { type Binaries, defaultSearch, findBinaries } from "./binaries.ts";
import { dataMajor, makeDataFolder } from "./data-folder.ts";
import { withFolderLock } from "./folder-lock.ts";
import { type EmbeddedServer, handleOf, leave } from "./handle.ts";
import { setKept } from "./keep.ts";
import { launch, logTail, stopServer } from "./launch.ts";
import { type PidFile, removeStalePidFile } from "./pid-file.ts";
import { choosePlace, embeddedDir, makeDir, type Place } from "./place.ts";
import { checkSettings } from "./settings.ts";
import { type AnsweringServer, lookForServer, type SilentServer } from "./sighting.ts";
import { asEmbeddedError, errorCodeOf } from "./system-error.ts";

/** Recovery after a crash is counted in. */
const READY_MS_MAX = 150_000;
const POLL_MS = 30;

export interface StartOptions {
  /** `PAWL_DIR`, else `.pawl` in the working directory. */
  dir?: string;
  log?: Logger;
  /** PostgreSQL settings, used when this call starts the server. */
  settings?: Record<string, string>;
  /** It stays when its last user leaves, until `stopEmbedded`. */
  keep?: boolean;
}

/**
 * The server outlives this process unless it is released, and the process may end without releasing it.
 *
 * @throws PawlError `embedded_unavailable` without programs for this platform, `embedded_failed` with the reason
 */
export async function startEmbedded(options: StartOptions = {}): Promise<EmbeddedServer> {
  const { log = silentLogger, settings = {} } = options;
  checkSettings(settings);
  return asEmbeddedError(async () => {
    const dir = await makeDir(embeddedDir(options.dir));
    return withFolderLock(dir, async () => {
      const place = await choosePlace(dir);
      const { server, startedHere } = await findOrLaunch(place, settings, log);
      try {
        await ensureDatabase(server.client);
        if (options.keep === true) await setKept(dir, true);
      } catch (error) {
        await leave(place, server).catch(() => undefined);
        throw error;
      }
      return handleOf(place, server, startedHere);
    });
  });
}

async function findOrLaunch(
  place: Place,
  settings: Record<string, string>,
  log: Logger,
): Promise<{ server: AnsweringServer; startedHere: boolean }> {
  const deadline = Date.now() + READY_MS_MAX;
  let startedHere = false;
  for (;;) {
    const sighting = await lookForServer(place);
    if (sighting.kind === "answering") return { server: sighting, startedHere };
    if (sighting.kind === "silent") {
      await waitOrRepair(place, sighting, deadline, log);
      continue;
    }
    if (sighting.kind === "stale" && sighting.mayRemove) {
      await removeStalePidFile(place.dataDir, sighting.pidFile.pid);
    }
    const result = await launch(place, await readyData(place, settings, log), settings);
    startedHere = result === "started";
    log.debug({ dataDir: place.dataDir, result }, "embedded server launched");
    if (result === "busy") await waitUntil(place, deadline);
  }
}

async function readyData(
  place: Place,
  settings: Record<string, string>,
  log: Logger,
): Promise<Binaries> {
  const major = await dataMajor(place.dataDir);
  const binaries = await findBinaries(place, major, await defaultSearch());
  const isDurable = settings.fsync !== "off";
  if (major === undefined) await makeDataFolder(place, binaries, { isDurable, log });
  return binaries;
}

/** It is starting, recovering or stopping: wait. Its socket was cleaned away with the temporary files: end it. */
async function waitOrRepair(
  place: Place,
  silent: SilentServer,
  deadline: number,
  log: Logger,
): Promise<void> {
  const { pidFile, error } = silent;
  if (isFinal(error)) throw unanswered(place, pidFile, error, await logTail(place));
  if (!(silent.isOurs && silent.isSocketGone && pidFile.status === "ready")) {
    await waitUntil(place, deadline, silent);
    return;
  }
  const socket = socketPath(addressOf(pidFile)) ?? "";
  if (await isThereForServer(pidFile, socket)) {
    throw new PawlError(
      "embedded_failed",
      `embedded PostgreSQL: the server of ${place.dataDir} (pid ${pidFile.pid}) runs where the temporary directory is another one than here (a service with a private /tmp?), so its socket ${socket} cannot be reached; stop it there, or start both the same way`,
      { data: { dataDir: place.dataDir, pid: pidFile.pid, socket } },
    );
  }
  log.warn({ pid: pidFile.pid, socket }, "the embedded server lost its socket; it is restarted");
  await stopServer(place, pidFile);
}

/** Waiting helps while it starts, stops or is full, but not against a closed folder or a refused login. */
function isFinal(error: unknown): boolean {
  const code = errorCodeOf(error) ?? "";
  if (code === "EACCES" || code === "EPERM") return true;
  return /^\d/.test(code) && !/^(57P0[123]|53300|08)/.test(code);
}

async function isThereForServer({ pid }: PidFile, socket: string): Promise<boolean> {
  return access(`/proc/${pid}/root${socket}`).then(
    () => true,
    () => false,
  );
}

async function waitUntil(place: Place, deadline: number, silent?: SilentServer): Promise<void> {
  if (Date.now() > deadline) {
    throw unanswered(place, silent?.pidFile, silent?.error, await logTail(place));
  }
  await wait(POLL_MS);
}

function unanswered(
  place: Place,
  pidFile: PidFile | undefined,
  cause: unknown,
  tail: string,
): PawlError {
  const who = pidFile === undefined ? "a server" : `process ${pidFile.pid}`;
  const why = cause === undefined ? "" : ` (${messageOf(cause)})`;
  return new PawlError(
    "embedded_failed",
    `embedded PostgreSQL: ${who} holds the data folder ${place.dataDir} and does not answer${why}; end it, or use the user who started it, and try again. The log ${place.logFile} ends:\n${tail}`,
    { data: { dataDir: place.dataDir, pid: pidFile?.pid ?? null }, cause },
  );
}

async function ensureDatabase(client: Client): Promise<void> {
  const { rowCount } = await client.query("select 1 from pg_database where datname = $1", [
    DATABASE,
  ]);
  if (rowCount === 0) await client.query(`create database ${DATABASE}`);
}
