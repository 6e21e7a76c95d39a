/**
 * Reads secrets from files, at each use: a file that was replaced, as secret stores do, counts at once.
 * Kept in memory while the file is unchanged.
 */

import { readFileSync, type Stats, statSync } from "node:fs";
import { PawlError, toError } from "../base/errors.ts";

const FILE_BYTES_MAX = 65_536;
const FILES_KEPT_MAX = 1_000;
/** Two writes may bear the same time of change; a file younger than this is read again. */
const SETTLED_MS = 2_000;

const kept = new Map<string, { mark: string; value: string }>();

/** @throws PawlError `invalid_environment` with the path; never with what is in the file */
export function readSecretFile(path: string, what: string): string {
  const stats = look(path, what);
  const mark = `${stats.dev}.${stats.ino}.${stats.size}.${stats.mtimeMs}.${stats.ctimeMs}`;
  const known = kept.get(path);
  if (known?.mark === mark) return known.value;
  if (!stats.isFile()) throw unreadable(path, what, "is not a file");
  if (stats.size > FILE_BYTES_MAX) {
    throw unreadable(path, what, `has ${stats.size} bytes, the limit is ${FILE_BYTES_MAX}`);
  }
  const value = read(path, what);
  if (value === "") throw unreadable(path, what, "is empty");
  kept.delete(path);
  if (Date.now() - stats.ctimeMs > SETTLED_MS) keep(path, mark, value);
  return value;
}

function look(path: string, what: string): Stats {
  try {
    return statSync(path);
  } catch (error) {
    throw unreadable(path, what, `cannot be read (${codeOf(error)})`);
  }
}

function read(path: string, what: string): string {
  try {
    return readFileSync(path, "utf8").replace(/\r?\n$/, "");
  } catch (error) {
    throw unreadable(path, what, `cannot be read (${codeOf(error)})`);
  }
}

function keep(path: string, mark: string, value: string): void {
  if (kept.size >= FILES_KEPT_MAX) kept.clear();
  kept.set(path, { mark, value });
}

function codeOf(error: unknown): string {
  const { code } = toError(error) as NodeJS.ErrnoException;
  return code ?? "unknown reason";
}

function unreadable(path: string, what: string, problem: string): PawlError {
  return new PawlError(
    "invalid_environment",
    `${what}: the file ${path} ${problem}; put the secret there on every machine that runs a worker`,
    { data: { file: path, option: what } },
  );
}
