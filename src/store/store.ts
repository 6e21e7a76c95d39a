/**
 * One PostgreSQL: a pool that survives a server restart, transactions, and the name of Pawl's schema.
 * Statements are written for the schema `pawl`; another name is put in where they are sent.
 */

import { createHash } from "node:crypto";
import pg from "pg";
import { PawlError, shown } from "../base/errors.ts";
import { type Logger, silentLogger } from "../base/log.ts";
import type { PreparedExecutor } from "./executor.ts";
import { translateDatabaseError } from "./sqlstate.ts";
import { ownTransaction, type Transaction } from "./transaction.ts";

const CONNECT_TIMEOUT_MS = 10_000;
const POOL_MAX_DEFAULT = 10;
/** invalid_sql_statement_name, duplicate_prepared_statement */
const NAME_NOT_KEPT = /^(26000|42P05)$/;
/** Parsing a time costs more than all else of a row; who wants one uses `parseTime`. */
const UNPARSED_TIMES = {
  getTypeParser: (oid: number, format?: string) =>
    oid === pg.types.builtins.TIMESTAMPTZ
      ? (text: string) => text
      : pg.types.getTypeParser(oid, format as "text"),
};
const DEADLOCK = "40P01";
const DEADLOCK_TRIES_MAX = 5;
const SCHEMA_NAME = /^[a-z_][a-z0-9_]{0,40}$/;

export interface StoreOptions {
  url: string;
  /** Default `pawl`. */
  schema?: string;
  /** Connections at most; default 10. */
  max?: number;
  /** How long to wait for a connection, a free one of the pool included; default 10 s, 0 for ever. */
  connectTimeoutMs?: number;
  log?: Logger;
}

export interface Store extends PreparedExecutor {
  readonly schema: string;
  readonly url: string;
  /** The statement with the schema's real name in it. */
  readonly render: (text: string) => string;
  /** BEGIN, `work`, COMMIT; ROLLBACK when it throws. READ COMMITTED whatever the database's default is. */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>;
  /** BEGIN. Whoever opened it must commit it or roll it back. */
  begin(): Promise<OpenTransaction>;
  close(): Promise<void>;
}

export interface OpenTransaction {
  readonly tx: Transaction;
  /** @throws PawlError when it rolled back instead, or when nobody knows (`database_unreachable`) */
  commit(): Promise<void>;
  rollback(): Promise<void>;
  /** Closes the connection at once, whatever it is doing: the server rolls back when it notices. */
  abandon(): void;
}

export function openStore(options: StoreOptions): Store {
  const { url, schema = "pawl", max = POOL_MAX_DEFAULT, log = silentLogger } = options;
  checkUrl(url);
  if (!SCHEMA_NAME.test(schema)) {
    throw new PawlError(
      "invalid_option",
      `expected \`schema\` to be a lower-case PostgreSQL name of at most 41 characters, got ${shown(schema)}`,
    );
  }
  const config: PoolConfig = {
    connectionString: url,
    max,
    connectionTimeoutMillis: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
    keepAlive: true,
    application_name: "pawl",
    onConnect: setUp,
  };
  const pool = new pg.Pool(config);
  let ended: Promise<void> | undefined;
  // Idle clients say so when the server goes away; unheard, that would end the process.
  pool.on("error", (error) =>
    log.warn({ err: error.message }, "database: an idle connection was lost"),
  );
  const render = renderer(schema);
  const rows = async <Row>(text: string, values: readonly unknown[] = []): Promise<Row[]> => {
    try {
      const query = () => pool.query(render(text), values as unknown[]);
      const result = await outOfDeadlock(() => onLiveConnection(max, query));
      return result.rows as Row[];
    } catch (error) {
      throw translateDatabaseError(error);
    }
  };
  return {
    schema,
    url,
    render,
    rows,
    prepared: preparedStatements(pool, max, render, rows),
    transaction: (work) => inTransaction(pool, render, work),
    begin: () => begin(pool, render),
    close: () => {
      ended ??= pool.end();
      return ended;
    },
  };
}

interface PoolConfig extends pg.PoolConfig {
  /** pg-pool 3.14: awaited before a new connection is given out. */
  onConnect: (client: pg.ClientBase) => Promise<void>;
}

/**
 * In one round trip: each of our statements must see what was committed before it, whatever the database's default is; and
 * none is compiled, which before PostgreSQL 19 takes up to a second for a look of a millisecond whose estimate is high. Not
 * as startup options: PgBouncer refuses those.
 */
async function setUp(client: pg.ClientBase): Promise<void> {
  await client.query("set default_transaction_isolation to 'read committed'; set jit to off");
}

/**
 * Named prepared statements, until the server says that it does not know one: then a pooler shares its connections
 * (PgBouncer in transaction mode), the statement did not run, and names are not used any more.
 */
function preparedStatements(
  pool: pg.Pool,
  max: number,
  render: (text: string) => string,
  plain: PreparedExecutor["rows"],
): PreparedExecutor["prepared"] {
  const names = new Map<string, string>();
  let areNamesKept = true;
  return async <Row>(text: string, values: readonly unknown[]): Promise<Row[]> => {
    if (!areNamesKept) return plain(text, values);
    let name = names.get(text);
    if (name === undefined) {
      name = `pawl_${createHash("sha256").update(render(text)).digest("hex").slice(0, 16)}`;
      names.set(text, name);
    }
    try {
      const result = await onLiveConnection(max, () =>
        pool.query({
          name,
          text: render(text),
          values: values as unknown[],
          types: UNPARSED_TIMES,
        }),
      );
      return result.rows as Row[];
    } catch (thrown) {
      const error = translateDatabaseError(thrown);
      if (!NAME_NOT_KEPT.test(String(error.data.sqlstate))) throw error;
      areNamesKept = false;
      return plain(text, values);
    }
  };
}

/**
 * A server that went away leaves connections in the pool which nobody has noticed to be dead. EPIPE says that the other
 * side had closed before anything was written, so nothing was executed, and another connection may be tried.
 */
async function onLiveConnection<T>(connections: number, query: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await query();
    } catch (error) {
      if ((error as { code?: unknown }).code !== "EPIPE" || tries > connections) throw error;
    }
  }
}

/** A statement alone is a transaction: as the victim of a deadlock it has done nothing, and the others have gone on. */
async function outOfDeadlock<T>(query: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await query();
    } catch (error) {
      if ((error as { code?: unknown }).code !== DEADLOCK || tries >= DEADLOCK_TRIES_MAX)
        throw error;
    }
  }
}

/** Replaces the schema's name; the identity when it is `pawl`. Statements are few, so each is replaced once. */
export function renderer(schema: string): (text: string) => string {
  if (schema === "pawl") return (text) => text;
  const rendered = new Map<string, string>();
  return (text) => {
    let own = rendered.get(text);
    if (own === undefined) {
      own = text.replace(/\bpawl\./g, `${schema}.`);
      rendered.set(text, own);
    }
    return own;
  };
}

async function inTransaction<T>(
  pool: pg.Pool,
  render: (text: string) => string,
  work: (tx: Transaction) => Promise<T>,
): Promise<T> {
  const open = await begin(pool, render);
  let result: T;
  try {
    result = await work(open.tx);
  } catch (error) {
    await open.rollback();
    throw error;
  }
  await open.commit();
  return result;
}

async function begin(pool: pg.Pool, render: (text: string) => string): Promise<OpenTransaction> {
  let client: pg.PoolClient;
  try {
    client = await pool.connect();
  } catch (error) {
    throw translateDatabaseError(error);
  }
  let broken: Error | undefined;
  let isReleased = false;
  // Nobody else hears a client that is lent out; unheard, the loss of its connection would end the process.
  const lost = (error: Error) => {
    broken = error;
  };
  client.on("error", lost);
  const own = ownTransaction(client, render);
  const release = (destroyed?: Error) => {
    if (isReleased) return;
    isReleased = true;
    own.end();
    client.off("error", lost);
    if (destroyed !== undefined) client.on("error", () => undefined); // its last words
    client.release(destroyed ?? broken);
  };
  const rollback = async () => {
    own.end();
    if (isReleased) return;
    await client.query("rollback").catch(lost);
    release();
  };
  try {
    await client.query("begin isolation level read committed");
  } catch (error) {
    release(error as Error);
    throw translateDatabaseError(error);
  }
  return {
    tx: own.tx,
    rollback,
    abandon: () => release(new Error("transaction abandoned")),
    commit: async () => {
      try {
        await own.commit();
      } catch (error) {
        await rollback();
        throw translateDatabaseError(error);
      }
      release();
    },
  };
}

function checkUrl(url: string): void {
  if (/^postgres(ql)?:\/\/\S+$/.test(url) && isParsed(url)) return;
  throw new PawlError(
    "invalid_url",
    `expected DATABASE_URL to look like postgresql://user:password@host:5432/database, got ${shown(withoutPassword(url))}`,
  );
}

/** The text of a timestamptz, as prepared statements answer it. */
export function parseTime(text: string): Date {
  return pg.types.getTypeParser(pg.types.builtins.TIMESTAMPTZ, "text")(text);
}

/** pg's own parser also takes a socket's URL, which has no host and so is no URL to `new URL`. */
function isParsed(url: string): boolean {
  try {
    new pg.Client({ connectionString: url });
    return true;
  } catch {
    return false;
  }
}

/** The URL without its password, for messages and lists. */
export function withoutPassword(url: string): string {
  return url.replace(/(:\/\/[^:/@]*):[^@]*@/, "$1:***@");
}
