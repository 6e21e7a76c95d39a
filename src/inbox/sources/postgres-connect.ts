/**
 * The way to the database of somebody else: one connection for one source, and what went wrong there as a fault. Nothing is
 * written and no transaction is left open.
 */

import pg from "pg";
import { PawlError, toError } from "../../base/errors.ts";
import { readSecret, type SecretRef } from "../../base/secret.ts";
import { SourceAnswered, SourceUnavailable } from "../source.ts";
import { beforeSending } from "./before-sending.ts";

const CONNECT_MS = 10_000;
const IDLE_MS = 30_000;
/** connection, resources, operator intervention, transaction rollback: it may be better next time */
const PASSING = /^(?:08|53|57|40)/;

export type Connected = <T>(work: (client: pg.ClientBase) => Promise<T>) => Promise<T>;

/**
 * One connection, opened when it is needed, that does not keep a process alive.
 *
 * @throws SourceUnavailable, SourceAnswered
 */
export function connector(where: string, url: string | SecretRef, timeoutMs: number): Connected {
  let pool: pg.Pool | undefined;
  return async (work) => {
    pool ??= openPool(
      beforeSending(() => readSecret(url, `${where}, databaseUrl`)),
      timeoutMs,
    );
    const used = pool;
    const client = await used.connect().catch((error: unknown) => {
      pool = undefined; // the next one reads the URL again
      used.end().catch(() => undefined);
      throw faultOf(error, "no");
    });
    let isGood = false;
    try {
      const result = await work(client);
      isGood = true;
      return result;
    } catch (error) {
      throw faultOf(error, "unknown");
    } finally {
      client.release(!isGood);
    }
  };
}

function openPool(connectionString: string, timeoutMs: number): pg.Pool {
  const pool = new pg.Pool({
    connectionString,
    max: 1,
    connectionTimeoutMillis: CONNECT_MS,
    idleTimeoutMillis: IDLE_MS,
    query_timeout: timeoutMs,
    allowExitOnIdle: true,
    keepAlive: true,
    application_name: "pawl source",
  });
  pool.on("error", ignored);
  // unheard, it would end the process: between two statements, or before whoever asked for it has it in hand
  pool.on("connect", (client) => client.on("error", ignored));
  return pool;
}

/** A lost connection fails what uses it; the next request opens another. */
function ignored(): void {}

function faultOf(error: unknown, sent: "no" | "unknown"): unknown {
  if (error instanceof PawlError || error instanceof SourceAnswered) return error;
  const what = `the database: ${toError(error).message || "no reason given"}`;
  const sqlState = error instanceof pg.DatabaseError ? (error.code ?? "") : undefined;
  if (sqlState !== undefined && !PASSING.test(sqlState)) {
    return new SourceAnswered(`${what} (SQLSTATE ${sqlState})`, { cause: error });
  }
  return new SourceUnavailable(what, { sent, cause: error });
}
