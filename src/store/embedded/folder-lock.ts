/**
 * A lock between processes, as numbered files in a folder: `lock.7` is held by the process that created it.
 * Taking the lock over means creating the next number, and a file is never deleted before a higher one exists,
 * so nobody can delete the lock of a holder they did not judge. A holder that died, or stopped beating, is passed over.
 */

import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { lstat, lutimes, open, readdir, rm } from "node:fs/promises";
import path from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { PawlError } from "../../base/errors.ts";
import { unheard } from "../../base/unheard.ts";
import { openPlain, readPlain } from "./own-file.ts";
import { errorCodeOf } from "./system-error.ts";

const POLL_MS = 30;
const HEARTBEAT_MS = 2_000;
/** A live pid whose lock was not touched this long is another process that got the number of a dead one. */
const SILENT_MS_MAX = 30_000;
/** Between creating the file and writing the holder into it. */
const UNSIGNED_MS_MAX = 3_000;
const WAIT_MS_MAX = 180_000;
const NAME = /^lock\.(\d+)$/;
const RELEASED = "released";

/** The locks of this process: a file that names our pid and is not here was left by an earlier process. */
const heldHere = new Set<string>();

/** Runs `work` while no other process, and no other call in this one, holds the lock of `folder`. */
export async function withFolderLock<T>(folder: string, work: () => Promise<T>): Promise<T> {
  const token = randomUUID();
  heldHere.add(token);
  try {
    const file = await acquire(folder, token);
    const heartbeat = setInterval(() => unheard(() => touch(file)), HEARTBEAT_MS);
    heartbeat.unref();
    try {
      return await work();
    } finally {
      clearInterval(heartbeat);
      await release(file);
    }
  } finally {
    heldHere.delete(token);
  }
}

async function acquire(folder: string, token: string): Promise<string> {
  const deadline = Date.now() + WAIT_MS_MAX;
  while (Date.now() < deadline) {
    const top = await highest(folder);
    if (top === 0 || !(await isHeld(lockFile(folder, top)))) {
      const taken = await take(folder, top + 1, token);
      if (taken) return lockFile(folder, top + 1);
    }
    await wait(POLL_MS);
  }
  throw new PawlError(
    "embedded_failed",
    `embedded PostgreSQL: another process has held the lock of ${folder} for ${WAIT_MS_MAX / 1_000} s; end it, or wait for it, and try again`,
    { data: { folder } },
  );
}

/** False when somebody else was faster. */
async function take(folder: string, number: number, token: string): Promise<boolean> {
  const file = lockFile(folder, number);
  try {
    const handle = await open(file, "wx", 0o644);
    await handle.writeFile(`${process.pid} ${token}`);
    await handle.close();
  } catch (error) {
    if (errorCodeOf(error) === "EEXIST") return false;
    throw error;
  }
  if ((await highest(folder)) === number) {
    await removeBelow(folder, number);
    return true;
  }
  await rm(file, { force: true });
  return false;
}

async function isHeld(file: string): Promise<boolean> {
  try {
    const [content, { mtimeMs }] = await Promise.all([readPlain(file), lstat(file)]);
    const silentMs = Date.now() - mtimeMs;
    if (content === "") return silentMs < UNSIGNED_MS_MAX;
    if (content.startsWith(RELEASED)) return false;
    const [pid = "", token = ""] = content.split(" ");
    if (Number(pid) === process.pid) return heldHere.has(token);
    return silentMs < SILENT_MS_MAX && isAlive(Number(pid));
  } catch (error) {
    if (errorCodeOf(error) === "ENOENT") return true; // a higher number has come: look again
    throw error;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCodeOf(error) === "EPERM";
  }
}

async function release(file: string): Promise<void> {
  try {
    const handle = await openPlain(file, constants.O_WRONLY);
    await handle.write(RELEASED, 0).finally(() => handle.close()); // over the holder: never empty in between
  } catch (error) {
    if (errorCodeOf(error) !== "ENOENT") throw error; // the whole folder was removed meanwhile
  }
}

async function touch(file: string): Promise<void> {
  const now = new Date();
  await lutimes(file, now, now).catch(() => undefined);
}

async function highest(folder: string): Promise<number> {
  return Math.max(0, ...(await lockNumbers(folder)));
}

async function removeBelow(folder: string, number: number): Promise<void> {
  const lower = (await lockNumbers(folder)).filter((candidate) => candidate < number);
  await Promise.all(lower.map((old) => rm(lockFile(folder, old), { force: true })));
}

async function lockNumbers(folder: string): Promise<number[]> {
  const names = await readdir(folder);
  return names.flatMap((name) => NAME.exec(name)?.[1] ?? []).map(Number);
}

function lockFile(folder: string, number: number): string {
  return path.join(folder, `lock.${number}`);
}
