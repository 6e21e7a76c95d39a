/**
 * A database of its own for each test file: a copy of a migrated template, made once per server, schema and day (its
 * partitions begin with the day).
 * Databases are dropped at the end; nothing that a test did not make is ever touched.
 */

import { createHash, randomBytes } from "node:crypto";
import pg from "pg";
import { inject } from "vitest";
import { ownFunctions } from "../../src/store/functions.ts";
import { migrate, migrations } from "../../src/store/migrate.ts";
import { openStore, type Store } from "../../src/store/store.ts";
import { atEnd } from "./at-end.ts";
import { LONG_LEASE } from "./kernel.ts";
import { until } from "./until.ts";

const TODAY = new Date().toISOString().slice(0, 10);
const TEMPLATE = `pawl_template_${createHash("sha256")
  .update(
    JSON.stringify([
      TODAY,
      ...[...migrations(), ...ownFunctions().files].map((one) => one.checksum),
    ]),
  )
  .digest("hex")
  .slice(0, 12)}`;
/** Any number that only this suite uses. */
const TEMPLATE_LOCK = 7_046_029_254;

/** Under way while other tests run: on a server that syncs its files, dropping takes a while. */
const dropping: Promise<void>[] = [];

export async function untilDropped(): Promise<void> {
  await Promise.allSettled(dropping.splice(0));
}

export interface TestDatabase {
  url: string;
  drop(): Promise<void>;
}

export interface DatabaseOptions {
  migrated?: boolean;
  /** For exact counts of tries: a worker keeps what it runs, however long its process stands still. */
  longLeases?: boolean;
}

/** A migrated database, dropped after the file's tests. */
export async function freshDatabase(options: DatabaseOptions = {}): Promise<TestDatabase> {
  const server = inject("databaseUrl");
  const name = `pawl_test_${randomBytes(6).toString("hex")}`;
  const template = options.migrated === false ? "template1" : TEMPLATE;
  await withAdmin(server, async (admin) => {
    if (template === TEMPLATE && !(await hasTemplate(admin))) await makeTemplate(server, admin);
    await admin.query(`create database ${name} template ${template} ${await placed(admin)}`);
  });
  const drop = () =>
    withAdmin(server, async (admin) => {
      await admin.query(`drop database if exists ${name} with (force)`);
    });
  atEnd(() => {
    dropping.push(drop());
  });
  const url = urlOf(server, name);
  if (options.longLeases === true) {
    await withAdmin(url, async (owner) => {
      await owner.query(LONG_LEASE);
    });
  }
  return { url, drop };
}

/** A store on a fresh database, closed after the file's tests. */
export async function freshStore(
  options: { max?: number; connectTimeoutMs?: number } = {},
): Promise<Store> {
  const { url } = await freshDatabase();
  const store = openStore({ url, ...options });
  atEnd(() => store.close());
  return store;
}

/** One connection outside Pawl's own pool: for forced races and for looking at the tables. */
export async function rawClient(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => undefined); // the server may be stopped, or the database dropped, under it
  await client.connect();
  atEnd(() => client.end().catch(() => undefined));
  return client;
}

/** Such a connection, in a transaction. */
export async function openTransaction(url: string): Promise<pg.Client> {
  const client = await rawClient(url);
  await client.query("begin");
  return client;
}

/** Whether somebody in this database waits for a lock; what other tests do on the server does not count. */
export async function isLockAwaited(client: pg.Client): Promise<boolean> {
  const { rowCount } = await client.query(
    `select from pg_locks l join pg_database d on d.oid = l.database
      where d.datname = current_database() and not l.granted`,
  );
  return rowCount !== 0;
}

/** Copies files, which from PostgreSQL 15 on has to be asked for: half of the work of writing their pages as WAL. */
async function placed(admin: pg.Client): Promise<string> {
  const { rows } = await admin.query<{ version: number }>(
    "select current_setting('server_version_num')::int as version",
  );
  const tablespace = inject("tablespace");
  return `${(rows[0]?.version ?? 0) < 150_000 ? "" : "strategy file_copy"} ${tablespace && `tablespace ${tablespace}`}`;
}

async function hasTemplate(admin: pg.Client): Promise<boolean> {
  const { rows } = await admin.query(
    "select 1 from pg_database where datname = $1 and datistemplate",
    [TEMPLATE],
  );
  return rows.length > 0;
}

/** One of the processes that run tests makes it. */
async function makeTemplate(server: string, admin: pg.Client): Promise<void> {
  await admin.query("select pg_advisory_lock($1)", [TEMPLATE_LOCK]);
  if (await hasTemplate(admin)) return;
  await admin.query(`drop database if exists ${TEMPLATE}`);
  await admin.query(`create database ${TEMPLATE}`);
  const store = openStore({ url: urlOf(server, TEMPLATE), max: 1 });
  try {
    await migrate(store);
  } finally {
    await store.close();
  }
  await until("nobody is in the template", async () => {
    const { rows } = await admin.query("select from pg_stat_activity where datname = $1", [
      TEMPLATE,
    ]);
    return rows.length === 0; // PostgreSQL itself waits 5 s for it
  });
  await admin.query(`alter database ${TEMPLATE} is_template true`);
}

async function withAdmin(server: string, work: (admin: pg.Client) => Promise<void>): Promise<void> {
  const admin = new pg.Client({ connectionString: server });
  await admin.connect();
  try {
    await work(admin);
  } finally {
    await admin.end();
  }
}

/** `postgresql://user@/name?host=…` is no URL to `new URL`: the path is replaced as text. */
function urlOf(server: string, database: string): string {
  return server.replace(/^(postgres(?:ql)?:\/\/[^/]*\/)[^?]*/, `$1${database}`);
}
