/** SQL of the receiver's own database: the ids of the messages that it has seen. */

/** @param table checked before: `name` or `schema.name`, in lower case */
export function createSeenSql(table: string): string {
  const name = table.slice(table.indexOf(".") + 1);
  return `create table if not exists ${table} (
  scope text not null,
  id text not null,
  seen_at timestamptz not null default now(),
  primary key (scope, id)
);
create index if not exists ${name}_seen_at on ${table} (seen_at);
`;
}

export const currentXidSql = "select pg_current_xact_id()::text as xid";

/** Writes only in the transaction `$1`: where each statement commits alone, nothing is written. */
export function insertSeenSql(table: string): string {
  return `
    with here as (select pg_current_xact_id()::text = $1::text as ok),
    inserted as (
      insert into ${table} (scope, id)
      select $2::text, $3::text from here where ok
      on conflict (scope, id) do nothing
      returning id
    )
    select ok as "inTransaction", exists (select from inserted) as "isFirst" from here`;
}

/** One batch; by ctid, for the table may be large and the rest of it stays unlocked. */
export function deleteSeenSql(table: string): string {
  return `
    with removed as (
      delete from ${table} where ctid = any (array(
        select ctid from ${table}
        where seen_at < now() - make_interval(secs => $1::float8 / 1000)
        order by seen_at limit $2::int
      ))
      returning 1
    )
    select count(*)::int as removed from removed`;
}
