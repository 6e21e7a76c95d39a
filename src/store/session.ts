/**
 * The settings of our connections: whatever our answers depend on, whatever the role or the database has set. They are
 * not sent as startup options, which PgBouncer refuses, but in one statement when a connection is opened.
 */

import type pg from "pg";
import { answered } from "./connection.ts";

interface Setting {
  name: string;
  value: string;
  /** What gives the value, where it depends on the one before. */
  sql?: string;
  /**
   * Also behind a pooler that shares its server's connections (PgBouncer in transaction mode). What is set there reaches
   * other applications, so only what is harmless to them, or what poolers keep apart by client.
   */
  isShared?: true;
  /** In a transaction that an app's own statements run in, the setting of the role or the database holds instead. */
  isOurs?: true;
}

/** How values look as text. */
const FORMATS: readonly Setting[] = [
  { name: "datestyle", value: "iso", isShared: true },
  { name: "standard_conforming_strings", value: "on", isShared: true },
  { name: "intervalstyle", value: "postgres", isShared: true },
  { name: "bytea_output", value: "hex", isShared: true },
  { name: "extra_float_digits", value: "1", isShared: true },
  { name: "array_nulls", value: "on", isShared: true },
];

/** The plans of our statements: a role without one of these would scan whole tables. */
const PLANS: readonly Setting[] = [
  "enable_indexscan",
  "enable_indexonlyscan",
  "enable_bitmapscan",
  "enable_seqscan",
  "enable_nestloop",
  "enable_hashjoin",
  "enable_mergejoin",
  "enable_hashagg",
  "enable_sort",
].map((name) => ({ name, value: "on", isOurs: true }) as const);

/** Where a role's path names `pg_catalog`, others' operators and types may stand before it: it is put first then. */
const PATH: Setting = {
  name: "search_path",
  value: "",
  sql: `pg_catalog.concat(case when pg_catalog.current_setting('search_path') operator(pg_catalog.~) 'pg_catalog'
        then 'pg_catalog, ' end, pg_catalog.current_setting('search_path'))`,
  isOurs: true,
};

const SETTINGS: readonly Setting[] = [
  ...FORMATS,
  PATH,
  ...PLANS,
  { name: "timezone", value: "UTC", isShared: true, isOurs: true },
  // each of our statements must see what was committed before it
  { name: "default_transaction_isolation", value: "read committed", isShared: true },
  // before PostgreSQL 19 a look of a millisecond whose estimate is high is compiled for up to a second
  { name: "jit", value: "off", isShared: true },
  // the server ends what a client that fell silent has left open after a minute, not after two hours
  { name: "tcp_keepalives_idle", value: "30", isShared: true },
  { name: "tcp_keepalives_interval", value: "10", isShared: true },
  { name: "tcp_keepalives_count", value: "3", isShared: true },
  { name: "plan_cache_mode", value: "auto", isOurs: true },
  { name: "statement_timeout", value: "0", isOurs: true },
  { name: "lock_timeout", value: "0", isOurs: true },
  { name: "transaction_timeout", value: "0", isOurs: true },
  // nothing of ours pauses in a transaction: a process that froze in one must not keep its locks
  { name: "idle_in_transaction_session_timeout", value: "10s", isOurs: true },
  { name: "idle_session_timeout", value: "0" },
];

const FIRST_WORDS_MS = 10_000;

/** BEGIN of a transaction in which an app's own statements run. */
const begins = new WeakMap<object, string>();
export const BEGIN = "begin isolation level read committed";

/** pg-pool's `onConnect`: before anybody else has the connection. */
export async function setUp(client: pg.ClientBase): Promise<void> {
  const rows = await applied(client, SETTINGS);
  const given = rows.filter(
    ({ name, before, now }) => now !== null && before !== now && isOurs(name),
  );
  begins.set(
    client,
    [BEGIN, ...given.map(({ name }) => `set local ${name} to default`)].join("; "),
  );
}

/** For connections to the database of somebody else: only how values look, and whose operators are meant. */
export async function setFormats(client: pg.ClientBase): Promise<void> {
  await applied(client, [...FORMATS, PATH, { name: "timezone", value: "UTC", isShared: true }]);
}

export function beginText(client: pg.ClientBase): string {
  return begins.get(client) ?? BEGIN;
}

function isOurs(name: string): boolean {
  return SETTINGS.some((one) => one.name === name && one.isOurs === true);
}

interface AppliedRow {
  name: string;
  before: string | null;
  /** null: left as it was, since a pooler is in between, or the server does not know it. */
  now: string | null;
}

/**
 * One round trip. A connection is ours alone when the process that answers is the one that the handshake named: poolers
 * name one of their own. The search path stays the role's but for its order, since apps send statements of their own through
 * our pool; so names are whole here, and types exact in all statements of ours that are not in a function.
 */
async function applied(client: pg.ClientBase, settings: readonly Setting[]): Promise<AppliedRow[]> {
  const values = settings.map(
    ({ name, value, sql, isShared }) => `('${name}', ${sql ?? `'${value}'`}, ${isShared === true})`,
  );
  const pid = Number((client as { processID?: unknown }).processID) || 0;
  const text = `select v.name, pg_catalog.current_setting(v.name, true) as before, case
        when pg_catalog.current_setting(v.name, true) is not null
         and (v.is_shared or pg_catalog.pg_backend_pid() operator(pg_catalog.=) ${pid})
        then pg_catalog.set_config(v.name, v.value, false) end as now
       from (values ${values.join(", ")}) v (name, value, is_shared)`;
  const { rows } = await answered(client, { text }, FIRST_WORDS_MS);
  return rows as AppliedRow[];
}
