/**
 * Plants in `public` what an attacker with CREATE there would: a rival of everything that our functions and statements
 * call, of exactly the types that pg_catalog's own lacks. Each records that it was called.
 */

import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import type pg from "pg";

/** What values of ours are of, where pg_catalog takes any, or a wider one. */
const NARROWER: Readonly<Record<string, readonly string[]>> = {
  anyarray: ["bigint[]", "integer[]", "text[]", "jsonb[]", "uuid[]", "smallint[]"],
  anycompatiblearray: ["bigint[]", "integer[]", "text[]"],
  anyelement: ["bigint", "integer", "text", "jsonb"],
  anycompatible: ["bigint", "integer", "text"],
  anynonarray: ["bigint", "text"],
  '"any"': ["bigint", "integer", "text", "jsonb", "uuid"],
  bigint: ["integer", "smallint"],
  "double precision": ["integer", "numeric", "bigint"],
  numeric: ["integer", "bigint"],
  integer: ["smallint"],
  text: ["character varying", "name"],
};
const OPERANDS = [
  "text",
  "integer",
  "bigint",
  "smallint",
  "numeric",
  "double precision",
  "boolean",
  "jsonb",
  "uuid",
  "name",
  "timestamptz",
  "interval",
  "anyarray",
  "regnamespace",
  "oid",
  "xid8",
  "jsonpath",
];
/** Not those that the grammar itself knows, such as bigint. */
const TYPES = [
  "text",
  "jsonb",
  "json",
  "uuid",
  "bytea",
  "timestamptz",
  "name",
  "int4",
  "int8",
  "xid8",
  "jsonpath",
];
const NOT_SQL = /^(internal|cstring|.*handler|trigger|event_trigger)$/;
const PLANTS_MAX = 4_000;
const SRC = path.resolve(import.meta.dirname, "../../src");

/** Answers the names of the rivals that were called. */
export async function plantRivals(client: pg.Client): Promise<() => Promise<string[]>> {
  await client.query(`create table public.intrusion (name text);
    create sequence public.intrusions;
    grant all on public.intrusion, public.intrusions to public;
    create function public.caught(name text) returns void language plpgsql as $$ begin
      perform pg_catalog.nextval('public.intrusions'); insert into public.intrusion values (name);
    end $$;`);
  const { rows } = await client.query<Called>(
    `select p.proname as name, array(select pg_catalog.format_type(a.type, null) from unnest(p.proargtypes) with ordinality a (type, nth) order by a.nth) as args,
            pg_catalog.format_type(p.prorettype, null) as result
       from pg_proc p where p.pronamespace = 'pg_catalog'::regnamespace and p.prokind = 'f' and not p.proretset and p.proname = any ($1)
        and p.pronargs between 1 and 4`,
    [wordsOfOurs()],
  );
  const sets = ["bigint[]", "integer[]", "text[]", "uuid[]"].map(
    (type) =>
      `create function public.unnest(${type}) returns setof ${type.slice(0, -2)} language plpgsql as $$ begin perform public.caught('unnest(${type})'); end $$`,
  );
  const operators = [
    ["*", "integer", "interval", "interval"],
    ["*", "bigint", "interval", "interval"],
    ["*", "text", "interval", "interval"],
    ["||", "text", "bigint", "text"],
    ["||", "text", "integer", "text"],
    ["||", "text", "uuid", "text"],
    ["||", "text", "name", "text"],
    ["=", "text", "character varying", "boolean"],
    ["=", "character varying", "text", "boolean"],
    ["^", "integer", "smallint", "double precision"],
    ["*", "integer", "double precision", "double precision"],
    ["/", "numeric", "integer", "numeric"],
    ["*", "numeric", "integer", "numeric"],
    ["<>", "jsonb", "text", "boolean"],
    ["->>", "jsonb", "character varying", "text"],
  ].map(
    ([operator, left, right, result], i) =>
      `create function public.rival_${i}(${left}, ${right}) returns ${result} language plpgsql as $$ begin perform public.caught('${left} ${operator} ${right}'); return null; end $$;
       create operator public.${operator} (function = public.rival_${i}, leftarg = ${left}, rightarg = ${right})`,
  );
  const all = rows.flatMap(plantsOf).slice(0, PLANTS_MAX);
  for (let i = 0; i < all.length; i += 200) {
    await client.query(all.slice(i, i + 200).join(";\n"));
  }
  await client.query([...sets, ...operators].join(";\n"));
  await plantOperators(client);
  await plantTypes(client);
  return async () => {
    const { rows: caught } = await client.query<{ name: string; count: string }>(
      "select distinct name from public.intrusion order by 1",
    );
    const { rows: counted } = await client.query<{ is_called: boolean }>(
      "select is_called from public.intrusions",
    );
    const names = caught.map(({ name }) => name);
    return counted[0]?.is_called === true && names.length === 0 ? ["rolled back"] : names;
  };
}

/** Of the very same types: found where a search path names `public` before `pg_catalog`. */
async function plantOperators(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{
    name: string;
    left: string;
    right: string;
    result: string;
  }>(
    `select o.oprname as name, pg_catalog.format_type(o.oprleft, null) as left, pg_catalog.format_type(o.oprright, null) as right,
            pg_catalog.format_type(o.oprresult, null) as result
       from pg_operator o
      where o.oprnamespace = 'pg_catalog'::regnamespace and o.oprleft <> 0 and o.oprcode <> 0
        and o.oprleft = any ($1::regtype[]) and o.oprright = any ($1::regtype[])`,
    [OPERANDS],
  );
  const plants = rows.map(({ name, left, right, result }, i) => {
    const answer = result === "boolean" ? "true" : "null";
    return `do $plant$ begin
      create function public.twin_${i}(${left}, ${right}) returns ${result} language plpgsql as $$ begin perform public.caught('${left} ${name} ${right}'); return ${answer}; end $$;
      create operator public.${name} (function = public.twin_${i}, leftarg = ${left}, rightarg = ${right});
      exception when duplicate_function then null; end $plant$`;
  });
  for (let i = 0; i < plants.length; i += 100)
    await client.query(plants.slice(i, i + 100).join(";\n"));
}

/** Whatever is cast to a type of such a name passes through its check. */
async function plantTypes(client: pg.Client): Promise<void> {
  for (const name of TYPES) {
    await client.query(`create function public.seen_${name}(value pg_catalog.${name}) returns boolean language plpgsql as
      $$ begin perform public.caught('type ${name}'); return true; end $$;
      create domain public.${name} as pg_catalog.${name} check (public.seen_${name}(value))`);
  }
}

interface Called {
  name: string;
  args: string[];
  result: string;
}

/** The same function of the same and of narrower types. */
function plantsOf({ name, args, result }: Called): string[] {
  if ([...args, result].some((type) => NOT_SQL.test(type))) return [];
  const returns = result.startsWith("any") ? "text" : result;
  const answer = returns === "void" ? "" : "return null;";
  const variants = args.reduce<string[][]>(
    (known, arg) =>
      known.flatMap((one) => [arg, ...(NARROWER[arg] ?? [])].map((type) => [...one, type])),
    [[]],
  );
  return variants
    .filter((types) => !types.some((type) => /^"?any/.test(type)))
    .map((types) => {
      const signature = `"${name}"(${types.join(", ")})`;
      return `do $plant$ begin create function public.${signature} returns ${returns} language plpgsql as $$ begin
        perform public.caught('${signature}'); ${answer} end $$; exception when duplicate_function then null; end $plant$`;
    });
}

/** Every word before a parenthesis, in the files of SQL and those of statements. */
function wordsOfOurs(): string[] {
  const texts = readdirSync(SRC, { recursive: true, encoding: "utf8" })
    .filter(
      (file) =>
        file.endsWith(".sql") || path.basename(file) === "sql.ts" || file.startsWith("store/"),
    )
    .filter((file) => /\.(sql|ts)$/.test(file))
    .map((file) => readFileSync(path.join(SRC, file), "utf8"));
  const words = texts.flatMap((text) =>
    [...text.matchAll(/\b([a-z_0-9]+)\s*\(/g)].map((found) => found[1] ?? ""),
  );
  return [...new Set(words)];
}
