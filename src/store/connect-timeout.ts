/** How long connecting may take: said in the URL or the environment, as libpq reads both. */

import { PawlError, shown } from "../base/errors.ts";

const DEFAULT_MS = 10_000;
const SECONDS_MAX = 86_400;

/**
 * `connect_timeout` of the URL, else `PGCONNECT_TIMEOUT`, in whole seconds; default 10 s. Answers ms; 0 is without a bound.
 * @throws PawlError `invalid_url`
 */
export function connectTimeoutMs(url: string): number {
  const query = url.split("?", 2)[1] ?? "";
  const said = new URLSearchParams(query).getAll("connect_timeout").at(-1); // the last one counts, as in pg
  if (said !== undefined) return inMs("connect_timeout of DATABASE_URL", said);
  const variable = process.env.PGCONNECT_TIMEOUT ?? "";
  return variable === "" ? DEFAULT_MS : inMs("PGCONNECT_TIMEOUT", variable);
}

function inMs(where: string, said: string): number {
  const seconds = /^\d{1,6}$/.test(said) ? Number(said) : Number.NaN;
  if (seconds <= SECONDS_MAX) return seconds * 1000;
  throw new PawlError(
    "invalid_url",
    `expected ${where} to be whole seconds from 0 (no bound) to ${SECONDS_MAX}, got ${shown(said)}`,
  );
}
