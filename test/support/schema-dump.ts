/** The schema as text, from the catalogue: the same on every version of PostgreSQL, for review and comparison. */

import type { Store } from "../../src/store/store.ts";

export async function dumpSchema(store: Store): Promise<string> {
  const sections = [
    await tables(store),
    await views(store),
    await sequences(store),
    await functions(store),
  ];
  // a role named pawl has the schema in its search path, and its names unqualified
  return sections.join("\n").replaceAll("pawl.", "");
}

async function tables(store: Store): Promise<string> {
  const rows = await store.rows<{
    name: string;
    kind: string;
    columns: string[];
    rules: string[];
    indexes: string[];
  }>(
    `select c.relname as name,
            case c.relkind when 'p' then 'partitioned table ' || pg_get_partkeydef(c.oid) else 'table' end
              || coalesce(' with (' || array_to_string(c.reloptions, ', ') || ')', '') as kind,
            array(select format('%s %s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),
                      case when a.attnotnull then ' not null' else '' end,
                      case when a.attidentity <> '' then case when c.relispartition then '' else ' identity' end
                           when a.attgenerated <> '' then ' generated ' || pg_get_expr(d.adbin, d.adrelid)
                           else coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '') end)
                    from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
                   where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum) as columns,
            array(select k.conname || ' ' || pg_get_constraintdef(k.oid) from pg_constraint k
                   where k.conrelid = c.oid and k.contype <> 'n' order by k.conname) as rules,
            array(select pg_get_indexdef(i.indexrelid) from pg_index i join pg_class x on x.oid = i.indexrelid
                   where i.indrelid = c.oid order by x.relname) as indexes
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = 'pawl' and c.relkind in ('r', 'p')
        and c.relname !~ '_[0-9]{6}([0-9]{2})?$' -- partitions come and go with the months and days
      order by c.relname`,
  );
  return rows
    .map(({ name, kind, columns, rules, indexes }) =>
      [
        `${kind.replace(/^(partitioned table|table)/, `$1 ${name}`)}`,
        ...[...columns, ...rules, ...indexes].map((line) => `  ${line}`),
        "",
      ].join("\n"),
    )
    .join("\n");
}

/** Their columns: the text of a query is not the same on every version. */
async function views(store: Store): Promise<string> {
  const rows = await store.rows<{ name: string; columns: string[] }>(
    `select c.relname as name, array(
              select format('  %s %s', a.attname, format_type(a.atttypid, a.atttypmod)) from pg_attribute a
               where a.attrelid = c.oid and a.attnum > 0 order by a.attnum) as columns
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = 'pawl' and c.relkind = 'v' order by c.relname`,
  );
  return rows.map(({ name, columns }) => [`view ${name}`, ...columns, ""].join("\n")).join("\n");
}

async function sequences(store: Store): Promise<string> {
  const rows = await store.rows<{ line: string }>(
    `select format('sequence %s cache %s', sequencename, cache_size) as line
       from pg_sequences where schemaname = 'pawl' order by sequencename`,
  );
  return `${rows.map((row) => row.line).join("\n")}\n`;
}

async function functions(store: Store): Promise<string> {
  const rows = await store.rows<{ line: string }>(
    `select format('function %s(%s) returns %s %s%s', p.proname, pg_get_function_identity_arguments(p.oid),
              pg_get_function_result(p.oid),
              case p.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end,
              coalesce(' set ' || array_to_string(p.proconfig, ', '), '')) as line
       from pg_proc p join pg_namespace n on n.oid = p.pronamespace
      where n.nspname = 'pawl' order by p.proname, line`,
  );
  return `${rows.map((row) => row.line).join("\n")}\n`;
}
