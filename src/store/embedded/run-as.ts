/**
 * Whom the server runs as. PostgreSQL refuses root, so root hands it to the owner of the folder, or to `nobody`
 * where that owner is root too, or unknown to the system: initdb wants a name. Everybody else runs it as themselves.
 */

import { lchown, mkdir, readFile, rm, stat } from "node:fs/promises";
import path from "node:path";
import { type RunAs, runCommand } from "./command.ts";

const NOBODY_ID = 65_534;

/** Undefined when the server runs as this process. */
export async function chooseRunAs(dataDir: string, dir: string): Promise<RunAs | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  return (
    (await ownerUnlessRoot(dataDir)) ??
    (await knownOwner(dir)) ??
    (await knownOwner(path.dirname(dir))) ??
    (await nobody())
  );
}

async function ownerUnlessRoot(file: string): Promise<RunAs | undefined> {
  const found = await stat(file).catch(() => undefined);
  return found === undefined || found.uid === 0 ? undefined : { uid: found.uid, gid: found.gid };
}

async function knownOwner(file: string): Promise<RunAs | undefined> {
  const owner = await ownerUnlessRoot(file);
  if (owner === undefined) return undefined;
  const { code } = await runCommand("id", ["-un", String(owner.uid)], { runAs: undefined });
  return code === 0 ? owner : undefined;
}

async function nobody(): Promise<RunAs> {
  const users = await readFile("/etc/passwd", "utf8").catch(() => "");
  const [, uid, gid] = /^nobody:[^:]*:(-?\d+):(-?\d+):/m.exec(users) ?? [];
  return { uid: Number(uid ?? NOBODY_ID) >>> 0, gid: Number(gid ?? NOBODY_ID) >>> 0 };
}

/** Never what a link of that name leads to. */
export async function giveTo(runAs: RunAs | undefined, file: string): Promise<void> {
  if (runAs !== undefined) await lchown(file, runAs.uid, runAs.gid);
}

/** Asked of a shell that runs as that user, because mode bits do not tell about access lists and mounts. */
export async function canEnter(runAs: RunAs | undefined, folder: string): Promise<boolean> {
  if (process.platform === "win32") return true;
  const { code } = await runCommand("/bin/sh", ["-c", 'cd "$1"', "sh", folder], { runAs });
  return code === 0;
}

/**
 * Whether a private folder for that user can be made inside `folder`: not where the user cannot
 * reach it, and not on a file system that keeps no owners and modes.
 */
export async function canOwnFolderIn(runAs: RunAs | undefined, folder: string): Promise<boolean> {
  if (process.platform === "win32") return true;
  const probe = path.join(folder, `probe-${process.pid}`);
  try {
    await mkdir(probe, { mode: 0o700 });
    await giveTo(runAs, probe);
    const { mode, uid } = await stat(probe);
    if ((mode & 0o777) !== 0o700 || uid !== (runAs?.uid ?? process.getuid?.())) return false;
    const script = 'cd "$1" && : > file && rm file';
    return (await runCommand("/bin/sh", ["-c", script, "sh", probe], { runAs })).code === 0;
  } catch {
    return false;
  } finally {
    await rm(probe, { recursive: true, force: true }).catch(() => undefined);
  }
}
