/**
 * Starts and stops the server process. pg_ctl detaches it into a session of its own, so it survives its starter;
 * PostgreSQL's own check of the data folder is the last line against two servers in one folder.
 */

import { constants } from "node:fs";
import { lstat, open, rename } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";
import { PawlError } from "../../base/errors.ts";
import { makeAddress, removeSocketFolder } from "./address.ts";
import { type Binaries, defaultSearch, findBinaries, programPath } from "./binaries.ts";
import { runCommand } from "./command.ts";
import { dataMajor } from "./data-folder.ts";
import { isPlain, openPlain } from "./own-file.ts";
import { type PidFile, processState, readPidFile, removeEmptyPidFile } from "./pid-file.ts";
import type { Place } from "./place.ts";
import { writeSettings } from "./settings.ts";
import { readPassword } from "./sighting.ts";
import { errorCodeOf } from "./system-error.ts";

const START_SECONDS_MAX = 30;
const STOP_MS_MAX = 60_000;
const POLL_MS = 20;
const LOG_BYTES_MAX = 10_000_000;
const TAIL_LINES = 12;
const TAIL_BYTES = 8_000;

/** `started`: by us; it may still be recovering. `busy`: something of another server is still there, try again. */
export type Launch = "started" | "busy";

/** @throws PawlError `embedded_failed` with the last lines of the log */
export async function launch(
  place: Place,
  binaries: Binaries,
  settings: Record<string, string>,
): Promise<Launch> {
  await writeSettings(place, await makeAddress(place, await readPassword(place)), settings);
  const log = await openLog(place);
  const from = (await log.stat()).size;
  const args = ["start", "-D", place.dataDir, "-l", place.logFile, "-w", "-s"];
  const { code, output } = await runCommand(
    programPath(binaries, "pg_ctl"),
    [...args, "-t", String(START_SECONDS_MAX)],
    { runAs: place.runAs, outputFd: log.fd },
  ).finally(() => log.close());
  if (code === 0) return "started";
  const tail = await logTail(place, from);
  if (/lock file .* is empty/.test(tail)) await removeEmptyPidFile(place.dataDir);
  if (/lock file .* (already exists|is empty)|shared memory block .* still in use/.test(tail)) {
    return "busy";
  }
  if (await isRunning(place)) return "started";
  throw new PawlError(
    "embedded_failed",
    `embedded PostgreSQL: the server of ${place.dataDir} did not start; its log ${place.logFile} says:\n${tail || output}`,
    { data: { dataDir: place.dataDir, logFile: place.logFile, exitCode: code ?? null } },
  );
}

async function isRunning({ dataDir }: Place): Promise<boolean> {
  const pidFile = await readPidFile(dataDir);
  if (pidFile === undefined) return false;
  return ["ours", "unknown"].includes(await processState(pidFile.pid, dataDir));
}

/** Stops a server that is proven to be ours; its clients are disconnected, its data is flushed. */
export async function stopServer(place: Place, pidFile: PidFile): Promise<void> {
  await requestStop(place, pidFile);
  const deadline = Date.now() + STOP_MS_MAX;
  while (Date.now() < deadline) {
    const state = await processState(pidFile.pid, place.dataDir);
    if (state !== "ours" && state !== "unknown") {
      await removeSocketFolder(pidFile);
      return;
    }
    await wait(POLL_MS);
  }
  throw new PawlError(
    "embedded_failed",
    `embedded PostgreSQL: the server of ${place.dataDir} (pid ${pidFile.pid}) did not stop within ${STOP_MS_MAX / 1_000} s; see its log ${place.logFile}`,
    { data: { dataDir: place.dataDir, pid: pidFile.pid } },
  );
}

async function requestStop(place: Place, { pid }: PidFile): Promise<void> {
  if (process.platform === "win32") {
    // a signal would end it there without a word to its clients and its disk
    const binaries = await findBinaries(
      place,
      await dataMajor(place.dataDir),
      await defaultSearch(),
    );
    await runCommand(
      programPath(binaries, "pg_ctl"),
      ["stop", "-D", place.dataDir, "-m", "fast", "-w", "-s"],
      { runAs: place.runAs },
    );
    return;
  }
  try {
    process.kill(pid, "SIGINT"); // "fast shutdown"
  } catch (error) {
    if (errorCodeOf(error) === "ESRCH") return;
    throw new PawlError(
      "embedded_failed",
      `embedded PostgreSQL: the server of ${place.dataDir} (pid ${pid}) runs as another user and cannot be stopped by this one; stop it as the user who started it`,
      { data: { dataDir: place.dataDir, pid }, cause: error },
    );
  }
}

/** The last lines of the log, from a position on. */
export async function logTail({ logFile }: Place, from = 0): Promise<string> {
  const handle = await openPlain(logFile, constants.O_RDONLY).catch(() => undefined);
  if (handle === undefined) return "";
  try {
    const { size } = await handle.stat();
    const start = Math.max(from, size - TAIL_BYTES);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(TAIL_BYTES), 0, TAIL_BYTES, start);
    const lines = buffer.toString("utf8", 0, bytesRead).trimEnd().split("\n");
    return lines.slice(-TAIL_LINES).join("\n");
  } finally {
    await handle.close();
  }
}

/** Private, because a log shows statements; one older log is kept. So is what another user put in its place. */
async function openLog({ logFile, runAs }: Place) {
  const owner = runAs?.uid ?? process.getuid?.() ?? 0;
  const found = await lstat(logFile).catch(() => undefined);
  const isFit = found !== undefined && isPlain(found) && found.uid === owner;
  if (found !== undefined && (!isFit || found.size > LOG_BYTES_MAX)) {
    await rename(logFile, `${logFile}.1`);
  }
  const handle = await openPlain(logFile, constants.O_WRONLY | constants.O_APPEND).catch(
    (error: unknown) => {
      if (errorCodeOf(error) !== "ENOENT") throw error;
      return open(logFile, "ax", 0o600);
    },
  );
  if (runAs !== undefined) await handle.chown(runAs.uid, runAs.gid);
  await handle.chmod(0o600);
  return handle;
}
