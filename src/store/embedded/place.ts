/**
 * Where everything of one embedded server lies. Normally in `.pawl/`; where the server's user cannot reach that
 * (a checkout in root's home, a file system without owners) in a folder of the system, and `.pawl/home` names it:
 * the same `.pawl/` always leads to the same data.
 */

import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { lstat, mkdir, open, readdir, realpath, stat, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { PawlError } from "../../base/errors.ts";
import type { RunAs } from "./command.ts";
import { readPlain, replaceFile } from "./own-file.ts";
import { refuseForeignFolder } from "./owners.ts";
import { canEnter, canOwnFolderIn, chooseRunAs } from "./run-as.ts";
import { errorCodeOf } from "./system-error.ts";

const POINTER = "home";

export interface Place {
  /** `.pawl/`: the lock, and the pointer if there is one. */
  dir: string;
  /** What holds the data folder, the log, and copied binaries: `dir` unless the pointer says otherwise. */
  home: string;
  dataDir: string;
  logFile: string;
  runAs: RunAs | undefined;
}

/** The option, else `PAWL_DIR`, else `.pawl` in the working directory; absolute. */
export function embeddedDir(dir?: string): string {
  return path.resolve(dir ?? embeddedDirIn("."));
}

/** `PAWL_DIR`, else `.pawl` in the folder of a project. */
export function embeddedDirIn(root: string): string {
  return path.resolve(process.env.PAWL_DIR || path.join(root, ".pawl"));
}

/** Where the server of `dir` is, or would be; creates nothing. Undefined when `dir` does not exist. */
export async function findPlace(dir: string): Promise<Place | undefined> {
  const real = await realpath(dir).catch(() => undefined);
  if (real === undefined) return undefined;
  await refuseForeignFolder(real);
  return placeAt(real, (await readPointer(real)) ?? real);
}

/** Makes `dir`, invisible to git. Root leaves it passable, for the server's user. */
export async function makeDir(dir: string): Promise<string> {
  if ((await mkdir(dir, { recursive: true })) !== undefined) {
    if (process.getuid?.() === 0) await open755(dir);
    await writeIgnored(dir);
  }
  const real = await realpath(dir);
  await refuseForeignFolder(real);
  return real;
}

/** In the folder itself where the system has a name for that: another may have been put under its name. */
async function writeIgnored(dir: string): Promise<void> {
  const flags = constants.O_RDONLY | (constants.O_DIRECTORY ?? 0) | (constants.O_NOFOLLOW ?? 0);
  if (process.platform !== "linux")
    return writeFile(path.join(dir, ".gitignore"), "*\n", { flag: "wx" });
  const handle = await open(dir, flags);
  try {
    const isOurs = (await handle.stat()).uid === process.getuid?.();
    const entries = await readdir(`/proc/self/fd/${handle.fd}`);
    if (isOurs && entries.length === 0)
      await writeFile(`/proc/self/fd/${handle.fd}/.gitignore`, "*\n", { flag: "wx" });
  } finally {
    await handle.close();
  }
}

/** For other users, by the folder itself: another may have been put under its name. */
async function open755(folder: string): Promise<void> {
  const handle = await open(
    folder,
    constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW,
  );
  await handle.chmod(0o755).finally(() => handle.close());
}

/** A folder of root's for programs, where `.pawl` is in the hands of another. */
export async function makeHomeOfPrograms(): Promise<string> {
  const failures: unknown[] = [];
  for (const base of basesElsewhere()) {
    try {
      await makeHome(base);
      return await makeHome(path.join(base, "programs"));
    } catch (error) {
      failures.push(error);
    }
  }
  throw new PawlError(
    "embedded_failed",
    `embedded PostgreSQL: no folder for its programs, neither ${basesElsewhere().join(" nor ")}; set DATABASE_URL to a server`,
    { cause: new AggregateError(failures) },
  );
}

/** Decides where the data goes, once; to be called under the lock of `dir`. */
export async function choosePlace(dir: string): Promise<Place> {
  const pointed = await readPointer(dir);
  if (pointed !== undefined) return placeAt(dir, await makeHome(pointed));
  const place = await placeAt(dir, dir);
  await checkLink(place.dataDir);
  if (await isFolder(place.dataDir)) {
    if (await canEnter(place.runAs, dir)) return place;
    throw unreachable(place);
  }
  if (await canOwnFolderIn(place.runAs, dir)) return place;
  const home = await makeHomeElsewhere(dir, place.runAs);
  await writePointer(dir, home);
  return placeAt(dir, home);
}

/** Root would start a server for one user in the folder to which another one points. */
async function checkLink(dataDir: string): Promise<void> {
  const link = await lstat(dataDir).catch(() => undefined);
  if (process.getuid?.() !== 0 || !link?.isSymbolicLink() || link.uid === 0) return;
  const target = await stat(dataDir).catch(() => undefined);
  if (target?.uid === link.uid) return;
  throw new PawlError(
    "embedded_failed",
    `embedded PostgreSQL: ${dataDir} is a link of user ${link.uid} to a folder of another user; remove it, or make it as root`,
    { data: { dataDir, uid: link.uid } },
  );
}

async function placeAt(dir: string, home: string): Promise<Place> {
  const dataDir = path.join(home, "data");
  const runAs = await chooseRunAs(dataDir, dir);
  return { dir, home, dataDir, logFile: path.join(home, "postgres.log"), runAs };
}

async function makeHomeElsewhere(dir: string, runAs: RunAs | undefined): Promise<string> {
  const name = createHash("sha256").update(dir).digest("hex").slice(0, 12);
  const failures: unknown[] = [];
  for (const base of basesElsewhere()) {
    try {
      await makeHome(base);
      const home = await makeHome(path.join(base, name));
      if (await canOwnFolderIn(runAs, home)) return home;
      failures.push(`${home}: the server's user cannot own a folder in it`);
    } catch (error) {
      failures.push(error);
    }
  }
  throw new PawlError(
    "embedded_failed",
    `embedded PostgreSQL: no folder for the data that its user can reach, neither ${dir} nor ${basesElsewhere().join(" nor ")}; set PAWL_DIR to one, or DATABASE_URL to a server`,
    { data: { dir }, cause: new AggregateError(failures) },
  );
}

/** Not in a temporary directory first: those are emptied, and this is data. */
function basesElsewhere(): string[] {
  if (process.getuid?.() === 0) return ["/var/lib/pawl", "/var/tmp/pawl"];
  return [path.join(process.env.XDG_STATE_HOME || path.join(os.homedir(), ".local/state"), "pawl")];
}

/** In a shared place such as /var/tmp, a folder of this name may be somebody's trap: it must be ours. */
async function makeHome(folder: string): Promise<string> {
  if ((await mkdir(folder, { recursive: true, mode: 0o755 })) !== undefined) {
    if (process.platform !== "win32") await open755(folder);
  }
  const { mode, uid } = await lstat(folder);
  if (process.platform !== "win32" && (uid !== process.getuid?.() || (mode & 0o022) !== 0)) {
    throw new PawlError(
      "embedded_failed",
      `embedded PostgreSQL: ${folder} belongs to another user or is open to others; remove it`,
      { data: { folder } },
    );
  }
  return folder;
}

async function readPointer(dir: string): Promise<string | undefined> {
  try {
    const file = path.join(dir, POINTER);
    const text = (await readPlain(file)).trim();
    const { uid } = await lstat(file);
    if (process.getuid?.() !== 0 || uid === 0) return text || undefined;
    throw new PawlError(
      "embedded_failed",
      `embedded PostgreSQL: ${file} was written by user ${uid}, and root does not put data where another user says; remove it`,
      { data: { file, uid } },
    );
  } catch (error) {
    if (errorCodeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

async function writePointer(dir: string, home: string): Promise<void> {
  await replaceFile(path.join(dir, POINTER), `${home}\n`);
}

function unreachable(place: Place): PawlError {
  return new PawlError(
    "embedded_failed",
    `embedded PostgreSQL: user ${place.runAs?.uid}, who owns the data folder ${place.dataDir}, cannot enter ${place.dir}; open the folders above it for that user, or move it`,
    { data: { dataDir: place.dataDir, uid: place.runAs?.uid } },
  );
}

async function isFolder(file: string): Promise<boolean> {
  return (await stat(file).catch(() => undefined))?.isDirectory() ?? false;
}
