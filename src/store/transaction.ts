/**
 * Transactions: ours, and those of any client with `query(text, params)`. A foreign one is checked once to be a real
 * transaction: a pool would commit each statement on its own, and the promise of one commit would be broken.
 */

import pg from "pg";
import { PawlError, shown } from "../base/errors.ts";
import { isStorable } from "../base/text.ts";
import { answered, Connection } from "./connection.ts";
import { type Executor, STATEMENT_MS } from "./executor.ts";
import { translateDatabaseError } from "./sqlstate.ts";
import { OUR_TYPES } from "./types.ts";

/** What you pass as `{ tx }`: a client of pg, or any object with the same method. */
export interface ForeignTransaction {
  query(text: string, values?: unknown[]): Promise<unknown>;
}

/** The transaction of `pawl.transaction(...)`. It can be used until that function ends. */
export interface Transaction extends ForeignTransaction {
  query<Row = Record<string, unknown>>(
    text: string,
    values?: unknown[],
  ): Promise<{ rows: Row[]; rowCount: number | null }>;
}

export interface OwnTransaction {
  readonly tx: Transaction;
  /** @throws PawlError when it rolled back instead */
  commit(): Promise<void>;
  /** From now on its use is an error. */
  end(): void;
}

type Query = (
  text: string,
  values: readonly unknown[],
  timeoutMs: number,
) => Promise<{ rows: unknown[] }>;
/**
 * How our own statements are sent in a transaction of ours: the schema's name put in, with a deadline, their answers read with our
 * parsers, not the app's. What users send through the same transaction goes as it is.
 */
const internal = new WeakMap<object, Query>();
/** The transaction id that a foreign handle was last seen in. */
const probed = new WeakMap<object, string>();

export interface OwnTransactionOptions {
  /** Puts the schema's name into our own statements. */
  render: (text: string) => string;
  /** No user sends anything through it: what `query` gets is ours too. */
  isOurs: boolean;
  /** How long COMMIT waits for its answer. */
  commitMs: number;
}

/** @internal its declaration would need the types of pg */
export function ownTransaction(
  client: pg.PoolClient,
  { render, isOurs, commitMs }: OwnTransactionOptions,
): OwnTransaction {
  let ended = false;
  const use = (text: string, values: readonly unknown[], types: pg.CustomTypesConfig) => {
    if (ended) {
      throw new PawlError(
        "not_a_transaction",
        "transaction: used after it ended; await everything inside the function it was given to",
      );
    }
    return { text, values: [...values], types };
  };
  const usersMs = client instanceof Connection ? client.usersTimeoutMs : undefined;
  const limit = usersMs === undefined ? {} : { query_timeout: usersMs };
  const tx: Transaction = {
    query: async <Row>(text: string, values: unknown[] = []) => {
      const statement = use(isOurs ? render(text) : text, values, pg.types);
      const result = await client.query({ ...statement, ...limit });
      return { rows: result.rows as Row[], rowCount: result.rowCount };
    },
  };
  internal.set(tx, async (text, values, timeoutMs) =>
    answered(client, use(render(text), values, OUR_TYPES), timeoutMs),
  );
  return {
    tx,
    commit: async () => {
      ended = true;
      const { command } = await answered(client, { text: "commit" }, commitMs);
      if (command === "COMMIT") return;
      throw new PawlError(
        "database_error",
        "transaction: rolled back at commit because a statement in it failed and its error was swallowed; let the error out, or use a savepoint",
      );
    },
    end: () => {
      ended = true;
    },
  };
}

/** A handle on a transaction of ours, for which `use` runs a statement in it, opening it where needed. */
export function handleOn(
  use: <T>(statement: (tx: Transaction) => Promise<T>) => Promise<T>,
): Transaction {
  const handle: Transaction = { query: (text, values) => use((tx) => tx.query(text, values)) };
  internal.set(handle, (text, values, timeoutMs) =>
    use((tx) => queryOf(tx)(text, values, timeoutMs)),
  );
  return handle;
}

/**
 * Runs `write` in the caller's transaction. `write` gets the transaction id that its statement must find itself in,
 * and answers undefined when it found itself elsewhere, having written nothing.
 * @throws PawlError `not_a_transaction`
 */
export async function inForeignTransaction<T>(
  tx: ForeignTransaction,
  render: (text: string) => string,
  write: (executor: Executor, xid: string | null) => Promise<T | undefined>,
): Promise<T> {
  checkShape(tx);
  const executor = executorOf(tx, render);
  if (internal.has(tx)) {
    const written = await write(executor, null);
    if (written !== undefined) return written;
  }
  const known = probed.get(tx);
  if (known !== undefined) {
    const written = await write(executor, known);
    if (written !== undefined) return written;
  }
  const xid = await currentXid(executor);
  const written = await write(executor, xid);
  if (written === undefined)
    throw notATransaction("each statement sent through it was committed alone");
  probed.set(tx, xid);
  return written;
}

/** What statements of our own are sent through in a transaction of ours. */
export function executorIn(tx: Transaction): Executor {
  const query = queryOf(tx);
  return {
    rows: async <Row>(text: string, values: readonly unknown[] = [], timeoutMs = STATEMENT_MS) =>
      (await query(text, values, timeoutMs)).rows as Row[],
  };
}

function queryOf(tx: Transaction): Query {
  return internal.get(tx) ?? ((text, values) => tx.query(text, [...values]));
}

async function currentXid(executor: Executor): Promise<string> {
  const [row] = await executor.rows<{ xid: string }>(
    "select pg_catalog.pg_current_xact_id()::pg_catalog.text as xid",
  );
  if (row === undefined) throw notATransaction("its `query` answered no row");
  return row.xid;
}

function executorOf(tx: ForeignTransaction, render: (text: string) => string): Executor {
  return {
    rows: async <Row>(text: string, values: readonly unknown[] = []) => {
      refuseUnstorable(values);
      let answer: unknown;
      try {
        const query = internal.get(tx);
        answer = await (query?.(text, values, STATEMENT_MS) ?? tx.query(render(text), [...values]));
      } catch (error) {
        throw translateDatabaseError(error);
      }
      return rowsOf(answer) as Row[];
    },
  };
}

/** Refuses values that were not checked at the call: if they were sent, they would abort the caller's transaction. */
function refuseUnstorable(values: readonly unknown[]): void {
  const bad = values.find((value) => typeof value === "string" && !isStorable(value));
  if (bad === undefined) return;
  throw new PawlError(
    "invalid_option",
    `a text holds \\u0000 or half of an emoji, which PostgreSQL cannot store: ${shown(bad)}; nothing was sent`,
  );
}

function rowsOf(answer: unknown): unknown[] {
  if (Array.isArray(answer)) return answer;
  const rows = (answer as { rows?: unknown } | null | undefined)?.rows;
  if (Array.isArray(rows)) return rows;
  throw notATransaction("its `query` answered neither an array of rows nor `{ rows }`");
}

/** Option of every write. */
export interface InTransaction {
  /** Your open transaction: from `pawl.transaction`, or any client with `query(text, params)` that has sent BEGIN. */
  tx?: ForeignTransaction;
}

/**
 * Returns the transaction that a call was given; undefined if the option is left out. `tx: undefined` is refused, as `null`
 * is: the call would commit on its own, which a caller who writes `tx` does not want.
 *
 * @throws PawlError `not_a_transaction`
 */
export function chosenTransaction(options: object): ForeignTransaction | undefined {
  if (!("tx" in options)) return undefined;
  checkShape(options.tx);
  return options.tx;
}

function checkShape(tx: unknown): asserts tx is ForeignTransaction {
  const given = tx as Partial<Record<"query" | "then" | "connect" | "totalCount", unknown>> | null;
  if (given === undefined || given === null)
    throw notATransaction(`it is ${String(given)}; leave \`tx\` out to commit alone`);
  if (typeof given.then === "function") throw notATransaction("it is a promise; await it first");
  if (typeof given.query !== "function")
    throw notATransaction("it has no method `query(text, params)`");
  if (typeof given.connect === "function" && typeof given.totalCount === "number")
    throw notATransaction("it is a pool, which gives each statement a connection of its own");
}

function notATransaction(why: string): PawlError {
  return new PawlError(
    "not_a_transaction",
    `tx: this is no open transaction: ${why}; pass the client on which you sent BEGIN (not the pool), or use pawl.transaction`,
  );
}
