/**
 * One PostgreSQL: a pool that survives a server restart, transactions, and the name of Pawl's schema.
 * Our statements are written for the schema `pawl`; another name is put in where they are sent. Those of users are sent as they are.
 */

import { createHash } from "node:crypto";
import pg from "pg";
import { PawlError, shown } from "../base/errors.ts";
import { type Logger, silentLogger, type TracingLogger } from "../base/log.ts";
import { connectTimeoutMs } from "./connect-timeout.ts";
import { answered, Connection, type ConnectionConfig, DeadlineMissed } from "./connection.ts";
import { type PreparedExecutor, STATEMENT_MS } from "./executor.ts";
import { outOfDeadlock } from "./out-of-deadlock.ts";
import { BEGIN, beginText, setUp } from "./session.ts";
import { Sharing } from "./sharing.ts";
import { translateDatabaseError } from "./sqlstate.ts";
import { ownTransaction, type Transaction } from "./transaction.ts";
import { OUR_TYPES, UNPARSED_TIMES } from "./types.ts";

/** Of BEGIN, COMMIT and ROLLBACK, and of the first words on a connection. */
const CONTROL_MS = 10_000;
/** How long a close waits for transactions that are open. */
const CLOSE_MS = 5_000;
const POOL_MAX_DEFAULT = 10;
/** invalid_sql_statement_name, duplicate_prepared_statement */
const NAME_NOT_KEPT = /^(26000|42P05)$/;
/** Ours are a few dozen. */
const PREPARED_MAX = 1_000;
const SCHEMA_NAME = /^[a-z_][a-z0-9_]{0,40}$/;

export interface StoreOptions {
  url: string;
  /** Default `pawl`. */
  schema?: string;
  /** Connections at most; default 10. */
  max?: number;
  /** How long to wait for a connection, a free one of the pool included; 0 for ever; default: see connectTimeoutMs. */
  connectTimeoutMs?: number;
  log?: Logger;
}

export interface Store extends PreparedExecutor {
  readonly schema: string;
  readonly url: string;
  /** A statement of ours with the schema's real name in it. */
  readonly render: (text: string) => string;
  /**
   * BEGIN, `work`, COMMIT; ROLLBACK when it throws. READ COMMITTED whatever the database's default is; time zone and
   * timeouts are those of the role, since the app's statements run here, as they are.
   */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>;
  /** The same for our own statements alone: with the settings of our connections, whatever the role's are. */
  ownTransaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>;
  /** BEGIN. Whoever opened it must commit it or roll it back. */
  /** `first`: a statement of ours without values, sent with BEGIN in one message. */
  begin(first?: string): Promise<OpenTransaction>;
  /** Waits for the transactions that are open, by default 5 s, and rolls back what is still open then. */
  close(waitMs?: number): Promise<void>;
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
  const { url, schema = "pawl", max = POOL_MAX_DEFAULT } = options;
  const log: TracingLogger = options.log ?? silentLogger;
  checkUrl(url);
  if (!SCHEMA_NAME.test(schema)) {
    throw new PawlError(
      "invalid_option",
      `expected \`schema\` to be a lower-case PostgreSQL name of at most 41 characters, got ${shown(schema)}`,
    );
  }
  const open = new Set<Connection>();
  const config: PoolConfig = {
    connectionString: url,
    max,
    connectionTimeoutMillis: options.connectTimeoutMs ?? connectTimeoutMs(url),
    application_name: "pawl",
    types: OUR_TYPES,
    onConnect: setUp,
    Client: Connection,
    trace: log.trace && ((data) => log.trace?.(data, "statement")),
    opened: (connection) => {
      open.add(connection);
      connection.once("end", () => open.delete(connection));
    },
  };
  const pool = new pg.Pool(config);
  sharings.set(pool, new Sharing(pool));
  let ended: Promise<void> | undefined;
  // Idle clients say so when the server goes away; unheard, that would end the process.
  pool.on("error", (error) =>
    log.debug({ err: error.message }, "database: an idle connection was lost"),
  );
  const render = renderer(schema);
  const rows: PreparedExecutor["rows"] = async <Row>(
    text: string,
    values: readonly unknown[] = [],
    timeoutMs = STATEMENT_MS,
  ): Promise<Row[]> => {
    try {
      const query = { text: render(text), values: values as unknown[] };
      const result = await outOfDeadlock(() => send(pool, max, query, timeoutMs));
      return lastRows(result);
    } catch (error) {
      throw translateDatabaseError(error, max);
    }
  };
  return {
    schema,
    url,
    render,
    rows,
    prepared: preparedStatements(pool, max, render, rows),
    transaction: (work) => inTransaction(begin(pool, render, { isOurs: false }), work),
    ownTransaction: (work) => inTransaction(begin(pool, render, { isOurs: true }), work),
    begin: (first) => begin(pool, render, { isOurs: false, first }),
    close: (waitMs = CLOSE_MS) => {
      ended ??= closePool(pool, open, waitMs);
      return ended;
    },
  };
}

/** Several statements in one text have a result each. */
function lastRows<Row>(result: pg.QueryResult | pg.QueryResult[]): Row[] {
  const last = Array.isArray(result) ? result.at(-1) : result;
  return (last?.rows ?? []) as Row[];
}

async function closePool(
  pool: pg.Pool,
  open: ReadonlySet<Connection>,
  waitMs: number,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const waited = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, waitMs);
  });
  await Promise.race([pool.end(), waited]);
  clearTimeout(timer);
  if (pool.totalCount > 0) for (const connection of open) connection.cut();
}

/** @internal its declaration would need the types of pg */
export interface PoolConfig extends pg.PoolConfig, ConnectionConfig {
  /** pg-pool 3.14: awaited before a new connection is given out. */
  onConnect: (client: pg.ClientBase) => Promise<void>;
}

/**
 * A statement alone, on a connection of the pool. One that misses its deadline is not the only silent one: those that
 * wait in the pool went the same way, and are closed.
 */
async function send(
  pool: pg.Pool,
  max: number,
  query: pg.QueryConfig,
  timeoutMs: number,
): Promise<pg.QueryResult> {
  try {
    return await onLiveConnection(max, () => shared(pool, () => alone(pool, query, timeoutMs)));
  } catch (error) {
    if (error instanceof DeadlineMissed) discardIdle(pool);
    throw error;
  }
}

const sharings = new WeakMap<pg.Pool, Sharing>();

function shared<T>(pool: pg.Pool, statement: () => Promise<T>): Promise<T> {
  const sharing = sharings.get(pool);
  return sharing === undefined ? statement() : sharing.run(statement);
}

function discardIdle(pool: pg.Pool): void {
  for (let idle = pool.idleCount; idle > 0; idle -= 1) {
    pool
      .connect()
      .then((client) => client.release(true))
      .catch(() => undefined); // it was gone already
  }
}

async function alone(
  pool: pg.Pool,
  query: pg.QueryConfig,
  timeoutMs: number,
): Promise<pg.QueryResult> {
  const client = await pool.connect();
  let failed: Error | undefined;
  try {
    return await answered(client, query, timeoutMs);
  } catch (error) {
    failed = error as Error;
    throw error;
  } finally {
    client.release(failed);
  }
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
  const statements = new Map<string, { name: string; text: string }>();
  let areNamesKept = true;
  return async <Row>(
    text: string,
    values: readonly unknown[],
    timeoutMs = STATEMENT_MS,
  ): Promise<Row[]> => {
    let known = statements.get(text);
    // each is kept by this process, and by the server for each connection
    const hasRoom = known !== undefined || statements.size < PREPARED_MAX;
    if (!areNamesKept || !hasRoom) return plain(text, values, timeoutMs);
    known ??= named(render(text));
    statements.set(text, known);
    try {
      const query = { ...known, values: values as unknown[], types: UNPARSED_TIMES };
      return (await send(pool, max, query, timeoutMs)).rows as Row[];
    } catch (thrown) {
      const error = translateDatabaseError(thrown, max);
      if (!NAME_NOT_KEPT.test(String(error.data.sqlstate))) throw error;
      areNamesKept = false;
      return plain(text, values, timeoutMs);
    }
  };
}

function named(text: string): { name: string; text: string } {
  const hash = createHash("sha256").update(text).digest("hex");
  return { name: `pawl_${hash.slice(0, 16)}`, text };
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

/** Replaces the schema's name in statements of ours; the identity when it is `pawl`. Keeps none of them. */
export function renderer(schema: string): (text: string) => string {
  if (schema === "pawl") return (text) => text;
  return (text) => text.replace(/\bpawl\./g, `${schema}.`);
}

async function inTransaction<T>(
  opening: Promise<OpenTransaction>,
  work: (tx: Transaction) => Promise<T>,
): Promise<T> {
  const open = await opening;
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

/** @param isOurs no user sends anything through it; else the settings are those that the app wants */
async function begin(
  pool: pg.Pool,
  render: (text: string) => string,
  { isOurs, first }: { isOurs: boolean; first?: string | undefined },
): Promise<OpenTransaction> {
  let client: pg.PoolClient;
  try {
    client = await pool.connect();
  } catch (error) {
    throw translateDatabaseError(error, pool.options.max);
  }
  let broken: Error | undefined;
  let isReleased = false;
  // Nobody else hears a client that is lent out; unheard, the loss of its connection would end the process.
  const lost = (error: Error) => {
    broken = error;
  };
  client.on("error", lost);
  const own = ownTransaction(client, { render, isOurs, commitMs: CONTROL_MS });
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
    await answered(client, { text: "rollback" }, CONTROL_MS).catch(lost);
    release();
  };
  try {
    const text = isOurs ? BEGIN : beginText(client);
    const also = first === undefined ? "" : `; ${render(first)}`;
    await answered(client, { text: text + also }, CONTROL_MS);
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

/** pg's own parser also takes a socket's URL, which has no host and so is no URL to `new URL`. */
function isParsed(url: string): boolean {
  try {
    new pg.Client({ connectionString: url });
    return true;
  } catch {
    return false;
  }
}

/** The URL without its password, wherever it stands, for messages and lists. It need not be a URL that can be parsed. */
export function withoutPassword(url: string): string {
  return url
    .replace(/(:\/\/[^:/?#]*):.*@/s, "$1:***@")
    .replace(PARAMETER, (all, name: string, is: string) =>
      SECRET_NAME.test(decoded(name)) ? `${name}${is}***` : all,
    );
}

/** Of a URL, and of libpq's own form: `host=db password='a b'`. */
const PARAMETER = /([^?&#\s='"]+)(\s*=\s*)('(?:[^'\\]|\\.)*'?|[^&#\s]*)/g;
const SECRET_NAME = /pass|pwd|token|secret|key/i;

function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
