/** The statements of sources: they run in the database of somebody else, one at a time, and only read. */

import type { ClientBase } from "pg";

export interface TableFacts {
  oid: string;
  /** `r` and `p` are tables. */
  kind: string;
  is_standby: boolean;
  columns: Record<string, string>;
  /** Of the sequences behind the id; above 1, its numbers are not given out in order. */
  cache: string | null;
  /** The last number that was drawn; null if there is no sequence, or it may not be read. */
  drawn: string | null;
}

/** `table` is quoted. No row: there is no such table, or it may not be seen. */
export async function describeTable(
  client: ClientBase,
  table: string,
  id: string,
): Promise<TableFacts | undefined> {
  const { rows } = await client.query<TableFacts>(
    `select c.oid::text, c.relkind::text as kind, pg_is_in_recovery() as is_standby,
       (select json_object_agg(a.attname, format_type(a.atttypid, null::integer) order by a.attnum)
        from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
       (select max(s.seqcache)::text
        from pg_attribute a
        left join pg_attrdef ad on ad.adrelid = a.attrelid and ad.adnum = a.attnum
        join pg_depend d on
          (d.classid = 'pg_class'::regclass::oid and d.refclassid = 'pg_class'::regclass::oid
           and d.refobjid = a.attrelid and d.refobjsubid = a.attnum)
          or (d.classid = 'pg_attrdef'::regclass::oid and d.objid = ad.oid and d.refclassid = 'pg_class'::regclass::oid)
        join pg_sequence s on s.seqrelid in (d.objid, d.refobjid)
        where a.attrelid = c.oid and a.attname = $2) as cache,
       (select max(case when has_sequence_privilege(s.seqrelid, 'select, usage')
               then coalesce(pg_sequence_last_value(s.seqrelid), 0) end)::text
        from pg_attribute a
        left join pg_attrdef ad on ad.adrelid = a.attrelid and ad.adnum = a.attnum
        join pg_depend d on
          (d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
           and d.refobjid = a.attrelid and d.refobjsubid = a.attnum)
          or (d.classid = 'pg_attrdef'::regclass and d.objid = ad.oid and d.refclassid = 'pg_class'::regclass)
        join pg_sequence s on s.seqrelid in (d.objid, d.refobjid)
        where a.attrelid = c.oid and a.attname = $2) as drawn
     from pg_class c where c.oid = to_regclass($1)`,
    [table, id],
  );
  return rows[0];
}

export interface Look {
  up_to: string | null;
  at_ms: string;
  writers: string[];
}

/**
 * The highest id that is visible, and who may still commit a lower one: every INSERT locks its table before it draws its
 * number, and keeps the lock to its end. The snapshot is older than the look at the locks, so nobody is overlooked.
 */
export async function lookAtWriters(
  client: ClientBase,
  { oid, table, id }: { oid: string; table: string; id: string },
): Promise<Look> {
  const { rows } = await client.query<Look>(
    `with recursive above as (
       select $1::oid as oid
       union select i.inhparent from pg_inherits i join above a on i.inhrelid = a.oid),
     below as (
       select $1::oid as oid
       union select i.inhrelid from pg_inherits i join below b on i.inhparent = b.oid)
     select (select max(t.${id})::text from ${table} t) as up_to,
       (extract(epoch from clock_timestamp()) * 1000.0)::bigint::text as at_ms,
       array(select distinct l.virtualtransaction from pg_locks l
         where l.locktype = 'relation' and l.granted and l.mode = 'RowExclusiveLock'
           and l.database = (select d.oid from pg_database d where d.datname = current_database())
           and l.relation in (select a.oid from above a union all select b.oid from below b)) as writers`,
    [oid],
  );
  const look = rows[0];
  if (look === undefined) throw new Error("no answer to a question that always has one");
  return look;
}

/** Expressions over `t`, quoted by their maker. */
export interface RowShape {
  table: string;
  id: string;
  name: string;
  occurredAt: string;
  payload: string;
}

export type TableRow = [id: string, name: string | null, at: string | null, payload: string | null];

export async function readRows(
  client: ClientBase,
  { table, id, name, occurredAt, payload }: RowShape,
  { after, upTo, limit }: { after: string; upTo: string; limit: number },
): Promise<TableRow[]> {
  const { rows } = await client.query<TableRow>({
    text: `select t.${id}::text, (${name})::text, (${occurredAt})::text, (${payload})::text
      from ${table} t where t.${id} > $1::bigint and t.${id} <= $2::bigint
      order by t.${id} limit $3`,
    values: [after, upTo, limit],
    rowMode: "array",
  });
  return rows;
}

/** All columns, or those named, as one JSON object. What JavaScript cannot hold exactly becomes text. */
export function rowAsJson(columns: Readonly<Record<string, string>>): string {
  const parts = Object.entries(columns).map(([name, type]) => {
    const column = quoted(name);
    const isWide = type === "bigint" || type === "numeric";
    return `t.${column}${isWide ? "::text" : ""} as ${column}`;
  });
  return `(select row_to_json(r) from (select ${parts.join(", ")}) r)`;
}

export function jsonOfColumn(name: string, type: string): string {
  const column = `t.${quoted(name)}`;
  const isText = /^(?:jsonb?|text|character varying|character)$/.test(type);
  return isText ? column : `to_json(${column})`;
}

/** ISO 8601; a time without a zone is taken for UTC. */
export function timeOfColumn(name: string, type: string): string {
  const column = `t.${quoted(name)}`;
  const inZone = type === "timestamp without time zone" ? `(${column} at time zone 'UTC')` : column;
  return `to_json(${inZone}) #>> '{}'`;
}

export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
