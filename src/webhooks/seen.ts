/**
 * Drops duplicates in the receiver's own transaction: the id and the effect commit together, so each message
 * has its effect exactly once, however often it is delivered.
 */

import { type Duration, durationMs } from "../base/duration.ts";
import { PawlError, shown } from "../base/errors.ts";
import { refuseUnknownOptions } from "../base/options.ts";
import { isName, isStorable } from "../base/text.ts";
import {
  adapted,
  type ForeignTransaction,
  type QueryTransaction,
  rowsOf,
} from "../foreign/transaction.ts";
import { createSeenSql, currentXidSql, deleteSeenSql, insertSeenSql } from "./sql.ts";

const TABLE_DEFAULT = "webhook_seen";
/** Short enough for the name of its index. */
const TABLE = /^(?:[a-z_][a-z0-9_]{0,62}\.)?[a-z_][a-z0-9_]{0,53}$/;
const ID_CHARS_MAX = 1_000;
/** Together with the scope it stands in an index, whose rows take 2,704 bytes. */
const ID_BYTES_MAX = 2_000;
const SCOPE_BYTES_MAX = 500;
const BATCH_ROWS = 5_000;

/** A client of pg, or any object with the same method that returns `{ rows }` or the rows. */
export type SqlClient = QueryTransaction;

export interface SeenOptions {
  /** Name of the table; default `webhook_seen`. */
  table?: string;
  /** Separates the ids of several senders, or several effects of the same message. Default: empty. */
  scope?: string;
}

/** SQL that creates the table `webhook_seen`. Run it in one of your migrations. */
export const SEEN_TABLE: string = createSeenSql(TABLE_DEFAULT);

/** Returns the SQL that creates a table of this name. @throws PawlError `invalid_option` if it is not the name of a table */
export function seenTable(table: string): string {
  return createSeenSql(tableName(table));
}

/**
 * Returns true if this id is new, and stores it in your transaction. A concurrent call with the same id waits until the
 * first one has committed or rolled back. Under REPEATABLE READ and SERIALIZABLE it gets PostgreSQL's serialization failure
 * instead, and should try again.
 *
 * @param tx an open transaction, of any library that `{ tx }` takes; a pool is refused, because the id would stay even if
 *   the effect fails
 * @throws PawlError `not_a_transaction`, `invalid_option`; errors of the database unchanged
 */
export async function isFirst(
  tx: ForeignTransaction,
  id: string,
  options: SeenOptions = {},
): Promise<boolean> {
  refuseUnknownOptions("isFirst", options, ["table", "scope"]);
  const table = tableName(options.table ?? TABLE_DEFAULT);
  const [scope, seen] = [checkScope(options.scope ?? ""), checkId(id)];
  const { query } = adapted(tx);
  const [probe] = rowsOf(await query(currentXidSql, [])) as { xid: string }[];
  const values = [probe?.xid, scope, seen];
  const [row] = rowsOf(await query(insertSeenSql(table), values)) as SeenRow[];
  if (row?.inTransaction === true) return row.isFirst;
  throw new PawlError(
    "not_a_transaction",
    "isFirst: each statement sent through `tx` was committed alone; begin a transaction on one client, pass that client, and commit after the effect",
  );
}

/**
 * Removes ids that were seen longer ago than this, and returns how many. Keep ids longer than the sender retries and
 * replays: a message that comes after that counts as new.
 */
export async function pruneSeen(
  client: SqlClient,
  options: { olderThan: Duration; table?: string },
): Promise<number> {
  refuseUnknownOptions("pruneSeen", options, ["olderThan", "table"]);
  const { olderThan, table = TABLE_DEFAULT } = options;
  const name = tableName(table);
  const ageMs = durationMs(olderThan, "olderThan");
  let total = 0;
  for (;;) {
    const answer = await client.query(deleteSeenSql(name), [ageMs, BATCH_ROWS]);
    const [row] = rowsOf(answer) as { removed: number }[];
    const removed = row?.removed ?? 0;
    total += removed;
    if (removed < BATCH_ROWS) return total;
  }
}

function tableName(table: string): string {
  if (typeof table === "string" && TABLE.test(table)) return table;
  throw new PawlError(
    "invalid_option",
    `expected \`table\` to be a name such as webhook_seen or shop.webhook_seen (lower case, digits, _, at most 54 characters), got ${shown(table)}`,
    { data: { option: "table" } },
  );
}

function checkId(id: string): string {
  if (isName(id, ID_CHARS_MAX) && Buffer.byteLength(id) <= ID_BYTES_MAX) return id;
  throw new PawlError(
    "invalid_option",
    `isFirst: expected \`id\` to be a text of 1 to ${ID_CHARS_MAX} characters and at most ${ID_BYTES_MAX} bytes that PostgreSQL can store, got ${shown(id)}`,
    { data: { option: "id" } },
  );
}

function checkScope(scope: unknown): string {
  const isText = typeof scope === "string" && Buffer.byteLength(scope) <= SCOPE_BYTES_MAX;
  if (isText && isStorable(scope)) return scope;
  throw new PawlError(
    "invalid_option",
    `isFirst: expected \`scope\` to be a text of at most ${SCOPE_BYTES_MAX} bytes that PostgreSQL can store, got ${shown(scope)}`,
    { data: { option: "scope" } },
  );
}

interface SeenRow {
  inTransaction: boolean;
  isFirst: boolean;
}
