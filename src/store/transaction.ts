/**
 * Transactions: ours, and anybody's that has `query(text, params)`. A foreign one is probed once per transaction
 * that it really is one: a pool in its place would commit each statement alone, and the promise of one commit were void.
 */

import type pg from "pg";
import { PawlError } from "../base/errors.ts";
import type { Executor } from "./executor.ts";
import { translateDatabaseError } from "./sqlstate.ts";

/** What users pass as `{ tx }`: a client of pg or whatever has the same method. */
export interface ForeignTransaction {
  query(text: string, values?: unknown[]): Promise<unknown>;
}

/** The transaction of `pawl.transaction(...)`. Usable until that function ends. */
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

const own = new WeakSet<object>();
/** The transaction id that a foreign handle was last seen in. */
const probed = new WeakMap<object, string>();

export function ownTransaction(
  client: pg.PoolClient,
  render: (text: string) => string,
): OwnTransaction {
  let ended = false;
  const query = async <Row>(text: string, values: unknown[] = []) => {
    if (ended) {
      throw new PawlError(
        "not_a_transaction",
        "transaction: used after it ended; await everything inside the function it was given to",
      );
    }
    const result = await client.query(render(text), values);
    return { rows: result.rows as Row[], rowCount: result.rowCount };
  };
  return {
    tx: asOwn({ query }),
    commit: async () => {
      ended = true;
      const { command } = await client.query("commit");
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

/** Marks a handle of ours: it need not be probed. */
export function asOwn(tx: Transaction): Transaction {
  own.add(tx);
  return tx;
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
  if (own.has(tx)) {
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

/** What statements of our own are sent through, in a transaction that renders the schema's name itself. */
export function executorIn(tx: Transaction): Executor {
  return {
    rows: async <Row>(text: string, values: readonly unknown[] = []) =>
      (await tx.query<Row>(text, [...values])).rows,
  };
}

async function currentXid(executor: Executor): Promise<string> {
  const [row] = await executor.rows<{ xid: string }>("select pg_current_xact_id()::text as xid");
  if (row === undefined) throw notATransaction("its `query` answered no row");
  return row.xid;
}

function executorOf(tx: ForeignTransaction, render: (text: string) => string): Executor {
  return {
    rows: async <Row>(text: string, values: readonly unknown[] = []) => {
      let answer: unknown;
      try {
        answer = await tx.query(render(text), [...values]);
      } catch (error) {
        throw translateDatabaseError(error);
      }
      return rowsOf(answer) as Row[];
    },
  };
}

function rowsOf(answer: unknown): unknown[] {
  if (Array.isArray(answer)) return answer;
  const rows = (answer as { rows?: unknown } | null | undefined)?.rows;
  if (Array.isArray(rows)) return rows;
  throw notATransaction("its `query` answered neither an array of rows nor `{ rows }`");
}

function checkShape(tx: unknown): asserts tx is ForeignTransaction {
  if (typeof (tx as ForeignTransaction | null)?.query === "function") return;
  throw notATransaction("it has no method `query(text, params)`");
}

function notATransaction(why: string): PawlError {
  return new PawlError(
    "not_a_transaction",
    `tx: this is no open transaction: ${why}; pass the client on which you sent BEGIN (not the pool), or use pawl.transaction`,
  );
}
