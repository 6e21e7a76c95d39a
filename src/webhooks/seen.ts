/**
 * Drops duplicates in the receiver's own transaction: the id and the effect commit together, so each message
 * has its effect exactly once, however often it is delivered.
 */

import { type Duration, durationMs } from "../base/duration.ts";
import { PawlError, shown } from "../base/errors.ts";
import { refuseUnknownOptions } from "../base/options.ts";
import { createSeenSql, currentXidSql, deleteSeenSql, insertSeenSql } from "./sql.ts";

const TABLE_DEFAULT = "webhook_seen";
/** Short enough for the name of its index. */
const TABLE = /^(?:[a-z_][a-z0-9_]{0,62}\.)?[a-z_][a-z0-9_]{0,53}$/;
const ID_CHARS_MAX = 1_000;
const BATCH_ROWS = 5_000;

/** A client of pg, or what has the same method and answers `{ rows }` or the rows. */
export interface SqlClient {
  query(text: string, values?: unknown[]): Promise<unknown>;
}

export interface SeenOptions {
  /** Default `webhook_seen`. */
  table?: string;
  /** Sets apart the ids of several senders, or several effects of the same message. Default empty. */
  scope?: string;
}

/** What makes the table: run it in a migration of your own. */
export const SEEN_TABLE: string = createSeenSql(TABLE_DEFAULT);

/** @throws PawlError `invalid_option` for what is not the name of a table */
export function seenTable(table: string): string {
  return createSeenSql(tableName(table));
}

/**
 * Whether this is the first time: the id is then stored with all else that the transaction does. Who comes
 * at the same time with the same id waits until the first has committed or rolled back. Under REPEATABLE
 * READ and SERIALIZABLE that one gets PostgreSQL's serialization failure instead, and is to try again.
 *
 * @param tx an open transaction; a pool is refused, for the id would be kept even if the effect fails
 * @throws PawlError `not_a_transaction`, `invalid_option`; what the database says as it is
 */
export async function isFirst(
  tx: SqlClient,
  id: string,
  options: SeenOptions = {},
): Promise<boolean> {
  refuseUnknownOptions("isFirst", options, ["table", "scope"]);
  const table = tableName(options.table ?? TABLE_DEFAULT);
  const [probe] = await rowsOf<{ xid: string }>(tx, currentXidSql, []);
  const values = [options.scope ?? "", checkId(id), probe?.xid];
  const [row] = await rowsOf<{ inTransaction: boolean; isFirst: boolean }>(
    tx,
    insertSeenSql(table),
    values,
  );
  if (row?.inTransaction === true) return row.isFirst;
  throw new PawlError(
    "not_a_transaction",
    "isFirst: each statement sent through `tx` was committed alone; begin a transaction on one client, pass that client, and commit after the effect",
  );
}

/**
 * Removes ids that were seen longer ago; answers how many. Keep them longer than the sender tries and
 * replays: what comes again after that counts as new.
 */
export async function pruneSeen(
  client: SqlClient,
  { olderThan, table = TABLE_DEFAULT }: { olderThan: Duration; table?: string },
): Promise<number> {
  const name = tableName(table);
  const ageMs = durationMs(olderThan, "olderThan");
  let total = 0;
  for (;;) {
    const [row] = await rowsOf<{ removed: number }>(client, deleteSeenSql(name), [
      ageMs,
      BATCH_ROWS,
    ]);
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
  if (typeof id === "string" && id !== "" && id.length <= ID_CHARS_MAX && !id.includes("\0")) {
    return id;
  }
  throw new PawlError(
    "invalid_option",
    `isFirst: expected \`id\` to be a text of 1 to ${ID_CHARS_MAX} characters, got ${shown(id)}`,
    { data: { option: "id" } },
  );
}

async function rowsOf<Row>(client: SqlClient, text: string, values: unknown[]): Promise<Row[]> {
  const answer = await client.query(text, values);
  if (Array.isArray(answer)) return answer as Row[];
  return (answer as { rows: Row[] }).rows;
}
