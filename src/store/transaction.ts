/**
 * Transactions: ours, and those of other libraries (`src/foreign`). A foreign one is checked once to be a real
 * transaction: a pool would commit each statement on its own, and the promise of one commit would be broken.
 */

import pg from "pg";
import { PawlError, shown } from "../base/errors.ts";
import { isStorable } from "../base/text.ts";
import { messageOf } from "../base/thrown.ts";
import { serverFault } from "../foreign/fault.ts";
import type { Adapted } from "../foreign/library.ts";
import {
  adapted,
  type ForeignTransaction,
  notATransaction,
  type QueryTransaction,
  rowsOf,
} from "../foreign/transaction.ts";
import { answered, Connection } from "./connection.ts";
import { type Executor, STATEMENT_MS } from "./executor.ts";
import { translateDatabaseError } from "./sqlstate.ts";
import { OUR_TYPES } from "./types.ts";

/** The transaction of `pawl.transaction(...)`. It can be used until that function ends. */
export interface Transaction extends QueryTransaction {
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
  const library = internal.has(tx) ? undefined : adapted(tx);
  const executor = executorOf(
    library === undefined
      ? (text, values) => queryOf(tx as Transaction)(text, values, STATEMENT_MS)
      : throughLibrary(library, render),
  );
  if (library === undefined) {
    const written = await write(executor, null);
    if (written !== undefined) return written;
  }
  const known = probed.get(tx);
  if (known !== undefined) {
    const written = await write(executor, known);
    if (written !== undefined) return written;
    if (library?.isOneTransaction === true)
      throw notATransaction(`this one of ${library.library} has ended`);
  }
  const xid = await currentXid(executor);
  const written = await write(executor, xid);
  if (written === undefined) {
    throw notATransaction(
      "each statement sent through it was committed alone; pass the client on which you sent BEGIN (not the pool), or what your library gives inside its transaction (docs/orm/README.md)",
    );
  }
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

type Send = (text: string, values: readonly unknown[]) => unknown;

function executorOf(send: Send): Executor {
  return {
    rows: async <Row>(text: string, values: readonly unknown[] = []) => {
      refuseUnstorable(values);
      let answer: unknown;
      try {
        answer = await send(text, values);
      } catch (error) {
        throw translateDatabaseError(error);
      }
      return rowsOf(answer) as Row[];
    },
  };
}

function throughLibrary({ library, query }: Adapted, render: (text: string) => string): Send {
  return async (text, values) => {
    try {
      return await query(render(text), values);
    } catch (error) {
      throw ofLibrary(error, library);
    }
  };
}

/** What the library itself says, and not the server or the connection, is that its transaction takes nothing any more. */
function ofLibrary(thrown: unknown, library: string): PawlError {
  const fault = serverFault(thrown);
  if (fault !== undefined) {
    return translateDatabaseError(
      Object.assign(new Error(fault.message, { cause: thrown }), fault),
    );
  }
  const error = translateDatabaseError(thrown);
  if (error.code !== "database_error" || library === "pg") return error;
  return notATransaction(`${library} did not send the statement: ${messageOf(thrown)}`, thrown);
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

/** Option of every write. */
export interface InTransaction {
  /** Your open transaction: from `pawl.transaction`, of a library that docs/orm/README.md lists, or a client that has sent BEGIN. */
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
  const tx = options.tx as ForeignTransaction;
  if (!internal.has(tx)) adapted(tx);
  return tx;
}
