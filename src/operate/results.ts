/**
 * What the database answers, as code and `--json` get it. Every statement that an operator's verb answers with goes through
 * here, so that no name of a column is seen outside, and every id is a string: of bigint or integer, nobody has to know.
 */

import { parsedColumns } from "../base/json-text.ts";
import type { Executor } from "../store/executor.ts";

const TIME = /(?:_at|_until|^since|^until)$/;
const ID = /(?:^|_)ids?$/;

/**
 * The rows by the names of a result: `run_at` is `runAt`, and `payload_text` is `payload`, parsed when it is first read, with
 * `payloadText` beside it. Values stay as they are: names in the JSON of an app are the app's.
 */
export async function results<Result>(
  executor: Executor,
  text: string,
  values?: readonly unknown[],
): Promise<Result[]> {
  const rows = await executor.rows<Record<string, unknown>>(text, values);
  return rows.map((row) => parsedColumns<Result>(withTextIds(row), camelCase));
}

function withTextIds(row: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [name, ID.test(name) ? idText(value) : value]),
  );
}

function idText(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(idText);
  return typeof value === "number" ? String(value) : value;
}

/** JSON that Pawl's own SQL has made, at every depth: names in camelCase, what is named as a time is a `Date`, and ids are strings. */
export function ownJson(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ownJson);
  if (typeof value !== "object" || value === null) return value;
  return ownFields(value, ownJson);
}

/** The same of one object whose values may hold JSON of an app. */
export function ownFields(
  fields: object,
  inner: (value: unknown) => unknown = (value) => value,
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]: [string, unknown]) => {
      if (ID.test(name)) return [camelCase(name), idText(value)];
      const isTime = typeof value === "string" && TIME.test(name);
      return [camelCase(name), isTime ? timeOf(value) : inner(value)];
    }),
  );
}

function camelCase(name: string): string {
  return name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** What PostgreSQL can say and no Date can, such as `infinity`, stays text. */
function timeOf(text: string): Date | string {
  const time = new Date(text);
  return Number.isNaN(time.getTime()) ? text : time;
}
