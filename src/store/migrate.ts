/**
 * Migrations: numbered SQL files with tables and data, each applied once, then the functions of all parts; in one
 * transaction, under an advisory lock. A file that was applied is never edited: its checksum is compared.
 */

import { readdirSync, readFileSync } from "node:fs";
import { PawlError } from "../base/errors.ts";
import type { Executor } from "./executor.ts";
import { checkRights, checkServer } from "./fitness.ts";
import {
  applyFunctions,
  checksumOf,
  type FunctionFile,
  type FunctionSet,
  ownFunctions,
  pendingFunctions,
} from "./functions.ts";
import { translateDatabaseError } from "./sqlstate.ts";
import type { Store } from "./store.ts";
import { executorIn, type Transaction } from "./transaction.ts";

const FOLDER = new URL("./migrations/", import.meta.url);
/** What a migration names is bound once: nobody else's function or type may take its place. The limits: behind a pooler. */
const SETTINGS = `set local search_path to pg_catalog, pg_temp; set local statement_timeout to 0; set local lock_timeout to 0`;
const LOCK = "select pg_advisory_xact_lock(hashtextextended('pawl.migrate', 0))";

export interface Migration {
  number: number;
  name: string;
  sql: string;
  checksum: string;
}

export interface MigrationPlan {
  applied: Migration[];
  pending: Migration[];
  /** Files whose functions in the database are older, or missing. */
  functions: FunctionFile[];
  /** Numbers that the database has and this version of Pawl does not know. */
  newer: number[];
}

/** What one call applied. */
export interface Applied {
  migrations: Migration[];
  functions: FunctionFile[];
}

export function migrations(): Migration[] {
  return readdirSync(FOLDER)
    .filter((name) => /^\d{4}_[a-z_]+\.sql$/.test(name))
    .sort()
    .map((file) => {
      const sql = readFileSync(new URL(file, FOLDER), "utf8");
      return {
        number: Number(file.slice(0, 4)),
        name: file.slice(5, -4),
        sql,
        checksum: checksumOf(sql),
      };
    });
}

/**
 * What is applied and what is not.
 * @throws PawlError `database_too_old`, `database_encoding`, `schema_taken`, `migration_changed`
 */
export async function planMigrations(
  store: Store,
  functions: FunctionSet = ownFunctions(),
): Promise<MigrationPlan> {
  await checkServer(store);
  const [there] = await store.rows<{ there: boolean }>(
    "select pg_catalog.to_regclass($1) is not null as there",
    [`${store.schema}.migration`],
  );
  if (there?.there !== true)
    return { applied: [], pending: migrations(), functions: functions.files, newer: [] };
  return { ...(await compare(store)), functions: await pendingFunctions(store, functions) };
}

/**
 * Applies what is pending; safe to run from many processes at once. Returns what this call applied.
 * @throws PawlError also `database_read_only`, `database_permission`, each before the first statement that writes;
 * `function_changed`
 */
export async function migrate(
  store: Store,
  functions: FunctionSet = ownFunctions(),
): Promise<Applied> {
  const { applied } = await planMigrations(store, functions);
  await checkRights(store);
  const applying = store.ownTransaction(async (tx) => {
    await tx.query(`${SETTINGS}; ${LOCK}`);
    if (applied.length === 0) await tx.query(foundation(store));
    const { pending } = await compare(executorIn(tx));
    for (const one of pending) await applyOne(tx, one);
    const changed = await pendingFunctions(executorIn(tx), functions);
    await applyFunctions(tx, changed, functions);
    await tx.query("select pawl.secure_v1()");
    return { migrations: pending, functions: changed };
  });
  const done = await applying.catch((error: unknown) => {
    throw translateDatabaseError(error);
  });
  await makePartitions(store);
  return done;
}

/** A transaction a part: one that gives up behind a long query leaves those of the others. */
async function makePartitions(store: Store): Promise<void> {
  const parts = await store.rows<{ part: string }>(
    "select distinct part from pawl.partitioned order by part desc",
  );
  for (const { part } of parts)
    await store.rows("select pawl.make_missing_partitions_v1($1, null)", [part]);
}

/** @throws PawlError `schema_missing`, `schema_outdated`: the caller has not migrated */
export async function requireSchema(
  store: Store,
  own: FunctionSet = ownFunctions(),
): Promise<void> {
  const { applied, pending, functions } = await planMigrations(store, own);
  if (pending.length === 0 && functions.length === 0) return;
  if (applied.length === 0) {
    throw new PawlError(
      "schema_missing",
      `schema "${store.schema}": not there; run \`pawl migrate\``,
    );
  }
  const missing = pending.map((one) => String(one.number).padStart(4, "0")).join(", ");
  const older = functions.map((one) => one.name).join(", ");
  const what =
    missing === "" ? `functions of ${older} are older` : `migration ${missing} is missing`;
  throw new PawlError("schema_outdated", `schema "${store.schema}": ${what}; run \`pawl migrate\``);
}

async function applyOne(tx: Transaction, migration: Migration): Promise<void> {
  await tx.query(migration.sql);
  await tx.query("insert into pawl.migration (number, name, checksum) values ($1, $2, $3)", [
    migration.number,
    migration.name,
    migration.checksum,
  ]);
}

async function compare(executor: Executor): Promise<Omit<MigrationPlan, "functions">> {
  const known = migrations();
  const rows = await executor.rows<{ number: number; checksum: string }>(
    "select number, checksum from pawl.migration order by number",
  );
  const byNumber = new Map(rows.map((row) => [row.number, row]));
  for (const migration of known) {
    const row = byNumber.get(migration.number);
    if (row !== undefined && row.checksum !== migration.checksum) throw changed(migration);
  }
  return {
    applied: known.filter((migration) => byNumber.has(migration.number)),
    pending: known.filter((migration) => !byNumber.has(migration.number)),
    newer: rows
      .map((row) => row.number)
      .filter((number) => !known.some((one) => one.number === number)),
  };
}

/** What stands before the first migration: the schema, and the tables that remember what was applied. */
export function foundation(store: Store): string {
  return `create schema if not exists ${store.schema};
${store.render(`create table if not exists pawl.migration (
  number int primary key, name text not null, checksum text not null,
  applied_at timestamptz not null default statement_timestamp());
create table if not exists pawl.function_file (
  name text primary key, checksum text not null, revision int not null,
  applied_at timestamptz not null default statement_timestamp());`)}`;
}

function changed(migration: Migration): PawlError {
  const number = String(migration.number).padStart(4, "0");
  return new PawlError(
    "migration_changed",
    `migration ${number}_${migration.name}: its file differs from what was applied; install the version of Pawl that made this schema, then upgrade`,
    { data: { number: migration.number } },
  );
}
