/**
 * The functions and views of the schema: `create or replace` in `<part>/sql/*.sql`, applied where their text differs from
 * what the database has. The revision of the set only rises, so that an older Pawl never puts its own back over a newer one's.
 */

import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { PawlError } from "../base/errors.ts";
import { read } from "../base/thrown.ts";
import type { Executor } from "./executor.ts";
import type { Transaction } from "./transaction.ts";

/** In the order of the layers. Within a part the order is that of the names: bodies are checked when all are there. */
export const PARTS = [
  "store",
  "operate",
  "kernel",
  "queue",
  "requests",
  "outbox",
  "process",
  "control",
  "schedule",
  "inbox",
  "registry",
] as const;
const SRC = new URL("../", import.meta.url);
const REVISION = new URL("./functions.json", import.meta.url);
/** invalid_function_definition: another result, or other names of parameters; and the same of a view: other columns. */
const OTHER_SIGNATURE: readonly unknown[] = ["42P13", "42P16"];
const REMEDY =
  "give the new one another name, such as `_v2` beside `_v1`, since workers of the version before call the old one; what only functions call can be dropped in a migration first";

export interface FunctionFile {
  /** Such as `kernel/turn`. */
  name: string;
  sql: string;
  checksum: string;
}

export interface FunctionSet {
  revision: number;
  files: FunctionFile[];
}

/** Returns what this version of Pawl has. */
export function ownFunctions(): FunctionSet {
  return { revision: revisionOfFunctions().revision, files: PARTS.flatMap(filesOf) };
}

/** `npm run schema` writes it: the revision rises when the checksum changes. */
export function revisionOfFunctions(): { revision: number; checksum: string } {
  return JSON.parse(readFileSync(REVISION, "utf8"));
}

export function checksumOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** Returns the files whose text differs from what the database has; none where those of the database are newer. */
export async function pendingFunctions(
  executor: Executor,
  { revision, files }: FunctionSet,
): Promise<FunctionFile[]> {
  const rows = await executor.rows<{ name: string; checksum: string; revision: number }>(
    "select name, checksum, revision from pawl.function_file",
  );
  if (rows.some((row) => row.revision > revision)) return [];
  const known = new Map(rows.map((row) => [row.name, row.checksum]));
  return files.filter((file) => known.get(file.name) !== file.checksum);
}

/** The caller holds the lock of migrations. A function that no file makes any more stays until a migration drops it. */
export async function applyFunctions(
  tx: Transaction,
  pending: readonly FunctionFile[],
  { revision, files }: FunctionSet,
): Promise<void> {
  if (pending.length === 0) return;
  await tx.query("set local check_function_bodies to off"); // one may call another of a file that comes later
  for (const file of pending) {
    await tx.query(file.sql).catch((error: unknown) => {
      throw OTHER_SIGNATURE.includes(read(error, "code")) ? otherSignature(file, error) : error;
    });
  }
  await tx.query("set local check_function_bodies to on");
  await checkSignatures(tx);
  await tx.query(
    `select case l.lanname when 'sql' then fmgr_sql_validator(p.oid)::text else plpgsql_validator(p.oid)::text end
       from pg_proc p join pg_language l on l.oid = p.prolang
      where p.pronamespace = to_regnamespace(rtrim('pawl.', '.')) and l.lanname in ('sql', 'plpgsql')`,
  );
  await tx.query("delete from pawl.function_file where name <> all ($1)", [
    files.map((file) => file.name),
  ]);
  await tx.query(
    `insert into pawl.function_file as f (name, checksum, revision)
     select u.name, u.checksum, $3 from unnest($1::text[], $2::text[]) u (name, checksum)
     on conflict (name) do update
        set checksum = excluded.checksum, revision = excluded.revision,
            applied_at = case when f.checksum = excluded.checksum then f.applied_at else statement_timestamp() end`,
    [files.map((file) => file.name), files.map((file) => file.checksum), revision],
  );
}

/** With other types of parameters a function does not replace the one of before: calls would fit both. */
async function checkSignatures(tx: Transaction): Promise<void> {
  const { rows } = await tx.query<{ name: string; signatures: string[] }>(
    `select p.proname as name, array_agg(pg_get_function_identity_arguments(p.oid) order by p.oid) as signatures
       from pg_proc p where p.pronamespace = to_regnamespace(rtrim('pawl.', '.'))
      group by p.proname having count(*) > 1 order by p.proname limit 1`,
  );
  const [twice] = rows;
  if (twice === undefined) return;
  throw new PawlError(
    "function_changed",
    `function ${twice.name}: it would be there twice, with (${twice.signatures.join(") and (")}); ${REMEDY}`,
    { data: { function: twice.name } },
  );
}

function otherSignature(file: FunctionFile, cause: unknown): PawlError {
  return new PawlError(
    "function_changed",
    `${file.name}.sql: ${String(read(cause, "message"))}; ${REMEDY}`,
    {
      cause,
      data: { file: file.name },
    },
  );
}

function filesOf(part: string): FunctionFile[] {
  const folder = new URL(`${part}/sql/`, SRC);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((file) => file.endsWith(".sql"))
    .sort()
    .map((file) => {
      const sql = readFileSync(new URL(file, folder), "utf8");
      return { name: `${part}/${file.slice(0, -4)}`, sql, checksum: checksumOf(sql) };
    });
}
