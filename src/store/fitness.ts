/**
 * Whether a database is fit for Pawl: asked before anything is written, so that nothing is left half done. With whole names,
 * since whoever may migrate is whom somebody else's functions would like to run as.
 */

import { PawlError } from "../base/errors.ts";
import { READ_ONLY_REMEDY } from "./sqlstate.ts";
import type { Store } from "./store.ts";

const SERVER_VERSION_MIN = 140_000;

interface ServerRow {
  version: string;
  name: string;
  encoding: string;
  database: string;
  /** Tables and the like lie in our schema, and the table of migrations is not ours. */
  is_taken: boolean;
}

/** @throws PawlError `database_too_old`, `database_encoding`, `schema_taken` */
export async function checkServer(store: Store): Promise<void> {
  const [row] = await store.rows<ServerRow>(
    `select pg_catalog.current_setting('server_version_num') as version, pg_catalog.current_setting('server_version') as name,
            pg_catalog.current_setting('server_encoding') as encoding, pg_catalog.current_database()::pg_catalog.text as database,
            exists (select from pg_catalog.pg_class c where c.relnamespace operator(pg_catalog.=) pg_catalog.to_regnamespace($1)::pg_catalog.oid)
              and not exists (select from pg_catalog.pg_attribute a
                where a.attrelid operator(pg_catalog.=) pg_catalog.to_regclass($2)::pg_catalog.oid
                  and a.attname operator(pg_catalog.=) 'checksum'::pg_catalog.name) as is_taken`,
    [store.schema, `${store.schema}.migration`],
  );
  if (row === undefined) return;
  const { version, name, encoding, database } = row;
  if (Number(version) < SERVER_VERSION_MIN) {
    throw new PawlError(
      "database_too_old",
      `database: PostgreSQL ${name} is too old; Pawl needs 14 or newer: upgrade the server or point DATABASE_URL at another`,
    );
  }
  if (encoding !== "UTF8") {
    throw new PawlError(
      "database_encoding",
      `database "${database}": its encoding is ${encoding}, Pawl needs UTF8: make a database with \`create database … encoding 'UTF8' template template0\`, or point DATABASE_URL at another`,
      { data: { database, encoding } },
    );
  }
  if (!row.is_taken) return;
  throw new PawlError(
    "schema_taken",
    `schema "${store.schema}": it contains something other than Pawl, and the tables would be mixed up; choose another name: \`schema\` of defineApp`,
    { data: { schema: store.schema } },
  );
}

interface RightsRow {
  is_standby: boolean;
  is_read_only: boolean;
  role: string;
  /** null: there is no such schema yet. */
  owner: string | null;
  can_create: boolean;
}

/** For who writes the schema. @throws PawlError `database_read_only`, `database_permission` */
export async function checkRights(store: Store): Promise<void> {
  const [row] = await store.rows<RightsRow>(
    `select pg_catalog.pg_is_in_recovery() as is_standby, pg_catalog.current_setting('transaction_read_only')::pg_catalog.bool as is_read_only,
            current_user::pg_catalog.text as role, n.owner,
            case when n.oid is null then pg_catalog.has_database_privilege(pg_catalog.current_database()::pg_catalog.text, 'create')
                 else pg_catalog.has_schema_privilege(n.oid, 'create') end as can_create
       from (select) one left join (
         select s.oid, pg_catalog.pg_get_userbyid(s.nspowner)::pg_catalog.text as owner from pg_catalog.pg_namespace s
          where s.oid operator(pg_catalog.=) pg_catalog.to_regnamespace($1)::pg_catalog.oid) n on true`,
    [store.schema],
  );
  if (row === undefined) return;
  if (row.is_standby || row.is_read_only) {
    const why = row.is_standby ? "the server is a standby" : "transactions are read-only";
    throw new PawlError("database_read_only", `database: ${why}; ${READ_ONLY_REMEDY}`);
  }
  if (row.can_create) return;
  const what =
    row.owner === null
      ? `role "${row.role}" may not make a schema in this database: grant it CREATE on the database`
      : `role "${row.role}" may not change schema "${store.schema}" of "${row.owner}": migrate as "${row.owner}"`;
  throw new PawlError("database_permission", `database: ${what}`, { data: { role: row.role } });
}
