/**
 * The data folder, made once by initdb. It is made under another name and renamed when complete, so an initdb that
 * was killed leaves nothing that looks like a data folder. What others left incomplete is moved aside, never deleted.
 */

import { randomBytes } from "node:crypto";
import { mkdtemp, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { PawlError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import { ROLE, usesSocket } from "./address.ts";
import { type Binaries, programPath } from "./binaries.ts";
import { runCommand } from "./command.ts";
import { readPlain, removeTree, replaceFile, writeAs } from "./own-file.ts";
import type { Place } from "./place.ts";
import { giveTo } from "./run-as.ts";
import { SETTINGS_FILE } from "./settings.ts";
import { passwordFile } from "./sighting.ts";

const UNFINISHED = "data.unfinished-";

/** The major version that made the folder; undefined when there is no complete data folder. */
export async function dataMajor(dataDir: string): Promise<number | undefined> {
  const version = await readFile(path.join(dataDir, "PG_VERSION"), "utf8").catch(() => "");
  const control = await stat(path.join(dataDir, "global", "pg_control")).catch(() => undefined);
  const major = Number.parseInt(version, 10);
  return control !== undefined && Number.isInteger(major) ? major : undefined;
}

/** To be called under the lock, when there is no complete data folder. */
export async function makeDataFolder(
  place: Place,
  binaries: Binaries,
  { isDurable, log }: { isDurable: boolean; log: Logger },
): Promise<void> {
  await removeUnfinished(place.home);
  await moveAside(place.dataDir, log);
  const unfinished = await mkdtemp(path.join(place.home, UNFINISHED));
  try {
    await giveTo(place.runAs, unfinished);
    await runInitdb(place, binaries, [...(isDurable ? [] : ["--no-sync"]), "-D", unfinished]);
    const main = path.join(unfinished, "postgresql.conf");
    const made = await readPlain(main);
    await writeAs(place.runAs, main, `${made}\ninclude_if_exists = '${SETTINGS_FILE}'\n`);
    await rename(unfinished, place.dataDir);
    await syncFolder(place.home);
  } catch (error) {
    await removeTree(unfinished).catch(() => undefined);
    throw error;
  }
  log.info({ dataDir: place.dataDir, version: binaries.version }, "embedded data folder made");
}

async function runInitdb(place: Place, binaries: Binaries, how: string[]): Promise<void> {
  const auth = usesSocket
    ? ["-A", "trust"]
    : ["-A", "scram-sha-256", "--pwfile", await makePassword(place)];
  const args = [...how, "-U", ROLE, "-E", "UTF8", "--locale=C", "--data-checksums", ...auth];
  const { code, output } = await runCommand(programPath(binaries, "initdb"), args, {
    runAs: place.runAs,
  });
  if (code === 0) return;
  throw new PawlError(
    "embedded_failed",
    `embedded PostgreSQL: initdb could not make a data folder in ${place.home}: ${output.split("\n").slice(-10).join("\n")}${hintFor(output)}`,
    { data: { home: place.home, exitCode: code ?? null } },
  );
}

function hintFor(output: string): string {
  if (/could not look up effective user ID/.test(output)) {
    return "; give this user an entry in /etc/passwd, or run as another user, or set DATABASE_URL to a server";
  }
  return "";
}

async function makePassword(place: Place): Promise<string> {
  const file = passwordFile(place);
  await replaceFile(file, `${randomBytes(24).toString("hex")}\n`, 0o600);
  return file;
}

/** Best effort: an initdb whose starter was killed may still be writing there. */
async function removeUnfinished(home: string): Promise<void> {
  const names = (await readdir(home)).filter((name) => name.startsWith(UNFINISHED));
  await Promise.allSettled(names.map((name) => removeTree(path.join(home, name))));
}

async function moveAside(dataDir: string, log: Logger): Promise<void> {
  const entries = await readdir(dataDir).catch(() => undefined);
  if (entries === undefined) return;
  if (entries.length === 0) {
    await rm(dataDir, { recursive: true });
    return;
  }
  const aside = `${dataDir}.incomplete-${Date.now()}`;
  await rename(dataDir, aside);
  log.warn({ dataDir, aside }, "the embedded data folder was incomplete; it was moved aside");
}

/** The rename itself must survive a power cut. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  await handle.sync();
  await handle.close();
}
