/**
 * Connects to somebody else's database: one connection for one source; errors there become faults. Nothing is written and no
 * transaction is left open.
 */

import pg from "pg";
import { PawlError } from "../../base/errors.ts";
import { messageOf } from "../../base/thrown.ts";
import { readSecret, type SecretRef } from "../../secrets/secret.ts";
import { ConnectError } from "../../sender/connection/connect-error.ts";
import { guardedSocket } from "../../sender/connection/tcp.ts";
import { metadataGuard } from "../../sender/guard/guard.ts";
import type { Refusal } from "../../sender/guard/refusal.ts";
import { setFormats } from "../../store/session.ts";
import type { PoolConfig } from "../../store/store.ts";
import { OUR_TYPES } from "../../store/types.ts";
import { SourceAnswered, SourceUnavailable } from "../source.ts";
import { beforeSending } from "./before-sending.ts";

const CONNECT_MS = 10_000;
const IDLE_MS = 30_000;
const GUARD = metadataGuard();
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
      throw refusedOf(where, error) ?? faultOf(error, "no");
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

/** The app's code names the database, so it may be anywhere except where the machine's credentials are handed out. */
export function refuseMetadataHost(where: string, url: string): void {
  const host = hostOf(url);
  const refusal = host === undefined ? undefined : GUARD.refuseHost(host, 0);
  if (refusal !== undefined) throw forbidden(where, refusal);
}

/** The host as pg reads it: a parameter of the URL may name another. A URL that cannot be read fails when connecting. */
function hostOf(connectionString: string): string | undefined {
  try {
    return new pg.Client({ connectionString }).host;
  } catch {
    return undefined;
  }
}

function refusedOf(where: string, error: unknown): SourceUnavailable | undefined {
  if (!(error instanceof ConnectError) || error.refusal === undefined) return undefined;
  const cause = forbidden(where, error.refusal);
  return new SourceUnavailable(cause.message, { sent: "no", cause });
}

function forbidden(where: string, { host, address, reason }: Refusal): PawlError {
  const what = address === undefined ? `${host} is` : `${host} is at ${address},`;
  return new PawlError(
    "address_forbidden",
    `${where}: \`databaseUrl\` refused, because ${what} ${reason}; nothing was sent. Name the host of a database`,
    { data: { host, ...(address !== undefined && { address }), reason: "forbidden", sent: "no" } },
  );
}

function openPool(connectionString: string, timeoutMs: number): pg.Pool {
  const config: PoolConfig = {
    connectionString,
    max: 1,
    connectionTimeoutMillis: CONNECT_MS,
    idleTimeoutMillis: IDLE_MS,
    query_timeout: timeoutMs,
    allowExitOnIdle: true,
    keepAlive: true,
    application_name: "pawl source",
    types: OUR_TYPES,
    stream: () => guardedSocket(GUARD),
    onConnect: setFormats,
  };
  const pool = new pg.Pool(config);
  pool.on("error", ignored);
  // an error event without a listener would end the process: between two statements, or before the caller has the connection
  pool.on("connect", (client) => client.on("error", ignored));
  return pool;
}

/** A lost connection fails what uses it; the next request opens another. */
function ignored(): void {}

function faultOf(error: unknown, sent: "no" | "unknown"): unknown {
  if (error instanceof PawlError || error instanceof SourceAnswered) return error;
  const what = `the database: ${messageOf(error) || "no reason given"}`;
  const sqlState = error instanceof pg.DatabaseError ? (error.code ?? "") : undefined;
  if (sqlState !== undefined && !PASSING.test(sqlState)) {
    return new SourceAnswered(`${what} (SQLSTATE ${sqlState})`, { cause: error });
  }
  return new SourceUnavailable(what, { sent, cause: error });
}
