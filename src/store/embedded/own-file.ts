/**
 * Files in folders where another user may have planted links: root, who starts a server for somebody, must not write,
 * read or give away through them. What lies in the server's own data folder is written by the server's user.
 */

import { randomBytes } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import path from "node:path";
import { PawlError } from "../../base/errors.ts";
import { type RunAs, runCommand } from "./command.ts";
import { errorCodeOf } from "./system-error.ts";

/** Windows knows neither flag. A pipe in place of the file would block without `O_NONBLOCK`. */
const NO_LINK = (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/** Writes a file as a whole: under a fresh name, then renamed, so a link of that name is replaced, not followed. */
export async function replaceFile(file: string, text: string, mode = 0o644): Promise<void> {
  const fresh = `${file}.${randomBytes(6).toString("hex")}`;
  const handle = await open(fresh, "wx", mode);
  try {
    await handle.writeFile(text);
  } finally {
    await handle.close();
  }
  await rename(fresh, file);
}

/** Opens what is there. @throws PawlError `embedded_failed` for a link, a pipe, a device, a second name of a file */
export async function openPlain(file: string, flags: number): Promise<FileHandle> {
  const handle = await open(file, flags | NO_LINK).catch((error: unknown) => {
    throw errorCodeOf(error) === "ELOOP" ? notPlain(file, error) : error;
  });
  if (isPlain(await handle.stat())) return handle;
  await handle.close();
  throw notPlain(file);
}

export async function readPlain(file: string): Promise<string> {
  const handle = await openPlain(file, constants.O_RDONLY);
  return handle.readFile("utf8").finally(() => handle.close());
}

export function isPlain(found: Stats): boolean {
  return found.isFile() && found.nlink <= 1;
}

/** Writes a file in the data folder, as the user to whom it belongs. */
export async function writeAs(runAs: RunAs | undefined, file: string, text: string): Promise<void> {
  if (runAs === undefined) return replaceFile(file, text, 0o600);
  const script = 'umask 077; rm -f "$1.new" && cat > "$1.new" && mv -f "$1.new" "$1"';
  const { code, output } = await runCommand("/bin/sh", ["-c", script, "sh", file], {
    runAs,
    input: text,
  });
  if (code === 0) return;
  throw new PawlError(
    "embedded_failed",
    `embedded PostgreSQL: user ${runAs.uid}, who runs the server, could not write ${file}: ${output}; give the folder back to that user, or move it away`,
    { data: { file, uid: runAs.uid } },
  );
}

/** `rm` holds on to the folders that it is in; Node goes by their names, which may become links meanwhile. */
export async function removeTree(folder: string): Promise<void> {
  if (process.platform === "win32")
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  else await runCommand("/bin/sh", ["-c", 'rm -rf "$1"', "sh", folder], { runAs: undefined });
}

function notPlain(file: string, cause?: unknown): PawlError {
  return new PawlError(
    "embedded_failed",
    `embedded PostgreSQL: ${path.basename(file)} in ${path.dirname(file)} is a link or no plain file; check who put it there, and remove it`,
    { data: { file }, cause },
  );
}
