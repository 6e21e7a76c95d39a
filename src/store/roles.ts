/** The four roles that a DBA grants to logins: see `sql/access.sql` for what each may do. */

import { PawlError } from "../base/errors.ts";
import type { Store } from "./store.ts";

const ROLES = ["producer", "worker", "operator", "reader"];

/** Before anything is changed. @throws PawlError `database_permission` when roles are missing and this login may make none */
export async function refuseWhoMakesNoRoles(store: Store): Promise<void> {
  const [row] = await store.rows<{ may: boolean; role: string; missing: string[] }>(
    `select r.rolcreaterole or r.rolsuper as may, r.rolname::pg_catalog.text as role,
            array(select n.role from pg_catalog.unnest($1::pg_catalog.text[]) n (role)
                   where not exists (select from pg_catalog.pg_roles o where o.rolname = n.role::pg_catalog.name)) as missing
       from pg_catalog.pg_roles r where r.rolname = current_user`,
    [ROLES.map((role) => `${store.schema}_${role}`)],
  );
  if (row === undefined || row.may || row.missing.length === 0) return;
  throw new PawlError(
    "database_permission",
    `migrate: "${row.role}" may make no roles (it lacks CREATEROLE), and ${row.missing.join(", ")} are missing; nothing was changed. Have a DBA run what \`pawl migrate --roles --plan\` prints under "-- roles", or migrate without --roles`,
    { data: { role: row.role, missing: row.missing } },
  );
}

/** Answers those that were not there before. Grants are renewed. */
export async function makeRoles(store: Store): Promise<string[]> {
  const [row] = await store.rows<{ made: string[] }>("select pawl.make_roles_v1() as made");
  return row?.made ?? [];
}

/** For a DBA, where the owner of the schema may not make roles. */
export function rolesSql(store: Store): { sql: string } {
  const made = ROLES.map((role) => `create role ${store.schema}_${role} nologin;`);
  const granted = "select pawl.grant_roles_v1(); -- as the owner of the schema";
  return { sql: [...made, store.render(granted)].join("\n") };
}

/** In the order in which they are to be named: who may least first. */
const NEEDED = ["reader", "producer", "operator", "worker"];
const DENIED = /^.*\b(function|table|view|sequence)\s+"?(\w+)"?/;

/**
 * The role that may do what was refused, by the words of the server's error; undefined where none of ours is there that
 * may, or the words are in another language.
 */
export async function neededRole(store: Store, refusal: string): Promise<string | undefined> {
  const [, kind = "", name = ""] = DENIED.exec(refusal) ?? [];
  if (name === "") return undefined;
  const rows = await store.rows<{ role: string }>(
    `select n.role::pg_catalog.text as role
       from pg_catalog.unnest($1::pg_catalog.text[]) with ordinality n (role, place)
       join pg_catalog.pg_roles r on r.rolname = n.role::pg_catalog.name
      where case when $2 = 'function'
            then exists (select from pg_catalog.pg_proc p where p.pronamespace = pg_catalog.to_regnamespace($4)
                          and p.proname = $3::pg_catalog.name and pg_catalog.has_function_privilege(r.oid, p.oid, 'execute'))
            else exists (select from pg_catalog.pg_class c where c.relnamespace = pg_catalog.to_regnamespace($4)
                          and c.relname = $3::pg_catalog.name and pg_catalog.has_table_privilege(r.oid, c.oid, 'select')) end
      order by n.place limit 1`,
    [NEEDED.map((role) => `${store.schema}_${role}`), kind, name, store.schema],
  );
  return rows[0]?.role;
}
