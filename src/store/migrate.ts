/**
 * Migrations: numbered SQL files, each applied once, in its own transaction, under an advisory lock.
 * A file that was applied is never edited: its checksum is compared.
 */

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { PawlError } from "../base/errors.ts";
import { translateDatabaseError } from "./sqlstate.ts";
import type { Store } from "./store.ts";

const FOLDER = new URL("./migrations/", import.meta.url);
const SERVER_VERSION_MIN = 140_000;

export interface Migration {
  number: number;
  name: string;
  sql: string;
  checksum: string;
}

export interface MigrationPlan {
  applied: Migration[];
  pending: Migration[];
  /** Numbers that the database has and this version of Pawl does not know. */
  newer: number[];
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
        checksum: createHash("sha256").update(sql).digest("hex"),
      };
    });
}

/**
 * What is applied and what is not.
 * @throws PawlError `database_too_old`, `migration_changed`
 */
export async function planMigrations(store: Store): Promise<MigrationPlan> {
  await checkServerVersion(store);
  const known = migrations();
  const rows = await appliedRows(store);
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

/** Applies what is pending; safe to run from many processes at once. Returns what this call applied. */
export async function migrate(store: Store): Promise<Migration[]> {
  const { pending } = await planMigrations(store);
  const applied: Migration[] = [];
  for (const migration of pending) {
    if (await applyOne(store, migration)) applied.push(migration);
  }
  await store.rows("select pawl.make_partitions_v1(7)");
  await store.rows("select pawl.make_window_partitions_v1(2)");
  return applied;
}

/** @throws PawlError `schema_missing`, `schema_outdated`: the caller has not migrated */
export async function requireSchema(store: Store): Promise<void> {
  const { applied, pending } = await planMigrations(store);
  if (pending.length === 0) return;
  const missing = pending.map((one) => String(one.number).padStart(4, "0")).join(", ");
  throw applied.length === 0
    ? new PawlError("schema_missing", `schema "${store.schema}": not there; run \`pawl migrate\``)
    : new PawlError(
        "schema_outdated",
        `schema "${store.schema}": migration ${missing} is missing; run \`pawl migrate\``,
      );
}

async function applyOne(store: Store, migration: Migration): Promise<boolean> {
  const applying = store.transaction(async (tx) => {
    await tx.query("select pg_advisory_xact_lock(hashtextextended('pawl.migrate', 0))");
    if (migration.number === 1) await tx.query(foundation(store));
    const { rows } = await tx.query("select 1 from pawl.migration where number = $1", [
      migration.number,
    ]);
    if (rows.length > 0) return false;
    await tx.query(migration.sql);
    await tx.query("insert into pawl.migration (number, name, checksum) values ($1, $2, $3)", [
      migration.number,
      migration.name,
      migration.checksum,
    ]);
    return true;
  });
  return applying.catch((error: unknown) => {
    throw translateDatabaseError(error);
  });
}

/** What stands before the first migration: the schema, and the table that remembers the applied ones. */
export function foundation(store: Store): string {
  return `create schema if not exists ${store.schema};
${store.render(`create table if not exists pawl.migration (
  number int primary key, name text not null, checksum text not null,
  applied_at timestamptz not null default statement_timestamp());`)}`;
}

async function appliedRows(store: Store): Promise<{ number: number; checksum: string }[]> {
  const [there] = await store.rows<{ there: boolean }>(
    "select to_regclass($1) is not null as there",
    [`${store.schema}.migration`],
  );
  if (there?.there !== true) return [];
  return store.rows("select number, checksum from pawl.migration order by number");
}

async function checkServerVersion(store: Store): Promise<void> {
  const [row] = await store.rows<{ version: string; name: string }>(
    "select current_setting('server_version_num') as version, current_setting('server_version') as name",
  );
  if (Number(row?.version) >= SERVER_VERSION_MIN) return;
  throw new PawlError(
    "database_too_old",
    `database: PostgreSQL ${row?.name} is too old; Pawl needs 14 or newer: upgrade the server or point DATABASE_URL at another`,
  );
}

function changed(migration: Migration): PawlError {
  const number = String(migration.number).padStart(4, "0");
  return new PawlError(
    "migration_changed",
    `migration ${number}_${migration.name}: its file differs from what was applied; install the version of Pawl that made this schema, then upgrade`,
    { data: { number: migration.number } },
  );
}
