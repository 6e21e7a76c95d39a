/** Folders of test servers: where they may lie, and the removal of those that killed runs left behind. */

import { readdir, rm, statfs } from "node:fs/promises";
import path from "node:path";
import { stopEmbedded } from "../../src/store/embedded/index.ts";

/** Of folders with a server of ours. Nothing else may have it: the clean-up removes what has it. */
export const SERVER_PREFIX = "pawl-tests-";
/** A container has 64 MB in memory unless it was given more. */
const BYTES_MIN = 4 * 1024 ** 3;

export async function hasRoom(folder: string, bytesMin = BYTES_MIN): Promise<boolean> {
  const { bavail, bsize } = await statfs(folder).catch(() => ({ bavail: 0, bsize: 0 }));
  return bavail * bsize >= bytesMin;
}

/** Removes what killed runs left in both folders, full or not, and then returns those to try, the best first. */
export async function foldersForServer(
  { memory, disk }: { memory: string; disk: string },
  bytesMin = BYTES_MIN,
): Promise<string[]> {
  for (const base of [memory, disk]) await removeAbandoned(base);
  return [...((await hasRoom(memory, bytesMin)) ? [memory] : []), disk];
}

/** A run that was killed leaves its server behind; the folder's name tells whose it was. */
async function removeAbandoned(base: string): Promise<void> {
  for (const name of await readdir(base).catch(() => [])) {
    const pid = new RegExp(`^${SERVER_PREFIX}(\\d+)-`).exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    await stopAndRemove(path.join(base, name)).catch(() => undefined);
  }
}

export async function stopAndRemove(folder: string): Promise<void> {
  const { dataDir } = await stopEmbedded({ dir: folder });
  await rm(path.dirname(dataDir), { recursive: true, force: true });
  await rm(folder, { recursive: true, force: true });
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
