/**
 * Where everything of one embedded server lies. Normally in `.pawl/`; where the server's user cannot reach that
 * (a checkout in root's home, a file system without owners) in a folder of the system, and `.pawl/home` names it:
 * the same `.pawl/` always leads to the same data.
 */

import { createHash } from "node:crypto";
import { chmod, lstat, mkdir, readFile, realpath, rename, stat, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { PawlError } from "../../base/errors.ts";
import type { RunAs } from "./command.ts";
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
  return path.resolve(dir ?? (process.env.PAWL_DIR || ".pawl"));
}

/** Where the server of `dir` is, or would be; creates nothing. Undefined when `dir` does not exist. */
export async function findPlace(dir: string): Promise<Place | undefined> {
  const real = await realpath(dir).catch(() => undefined);
  return real === undefined ? undefined : placeAt(real, (await readPointer(real)) ?? real);
}

/** Makes `dir`, invisible to git. Root leaves it passable, for the server's user. */
export async function makeDir(dir: string): Promise<string> {
  if ((await mkdir(dir, { recursive: true })) !== undefined) {
    if (process.getuid?.() === 0) await chmod(dir, 0o755);
    await writeFile(path.join(dir, ".gitignore"), "*\n");
  }
  return realpath(dir);
}

/** Decides where the data goes, once; to be called under the lock of `dir`. */
export async function choosePlace(dir: string): Promise<Place> {
  const pointed = await readPointer(dir);
  if (pointed !== undefined) return placeAt(dir, await makeHome(pointed));
  const place = await placeAt(dir, dir);
  if (await isFolder(place.dataDir)) {
    if (await canEnter(place.runAs, dir)) return place;
    throw unreachable(place);
  }
  if (await canOwnFolderIn(place.runAs, dir)) return place;
  const home = await makeHomeElsewhere(dir, place.runAs);
  await writePointer(dir, home);
  return placeAt(dir, home);
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
    await chmod(folder, 0o755);
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
    return (await readFile(path.join(dir, POINTER), "utf8")).trim() || undefined;
  } catch (error) {
    if (errorCodeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

async function writePointer(dir: string, home: string): Promise<void> {
  const file = path.join(dir, POINTER);
  await writeFile(`${file}.new`, `${home}\n`);
  await rename(`${file}.new`, file);
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
