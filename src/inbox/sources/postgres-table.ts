/**
 * A table of another PostgreSQL as a source: rows that are only added, in the order of a numeric id. Only read up to
 * where no row can appear any more, so that late commits are not lost; and one statement at a time, so that no
 * transaction of ours stays open there.
 */

import type { ClientBase } from "pg";
import { type Duration, durationMs } from "../../base/duration.ts";
import { PawlError, toError } from "../../base/errors.ts";
import { badOption, refuseUnknownOptions } from "../../base/options.ts";
import { describeSecret, isSecretRef, readSecret, type SecretRef } from "../../base/secret.ts";
import { didYouMean } from "../../base/suggest.ts";
import { maskUrl } from "../../requests/mask-url.ts";
import { SOURCE_OPTIONS, type SourceOptions, sourceBase } from "../define-source.ts";
import {
  type BadEvent,
  type FetchContext,
  type Json,
  type Page,
  type PullSource,
  type RawPage,
  SourceAnswered,
  type SourceEvent,
  type Window,
} from "../source.ts";
import { nameOf, storable, timeOf } from "./item.ts";
import { connector } from "./postgres-connect.ts";
import { type Mark, markBeyond, markIn } from "./postgres-mark.ts";
import {
  describeTable,
  jsonOfColumn,
  lookAtWriters,
  quoted,
  type RowShape,
  readRows,
  rowAsJson,
  type TableFacts,
  type TableRow,
  timeOfColumn,
} from "./sql.ts";

const WHOLE_NUMBER = /^(?:smallint|integer|bigint)$/;

export interface PostgresTableOptions extends SourceOptions {
  /** Of the other database; better `env("NAME")` or `file("/path")`. Needs SELECT on the table, and no more. */
  databaseUrl: string | SecretRef;
  /** `order_event` or `shop.order_event`. */
  table: string;
  /** Its numeric id, from a sequence or identity; default `id`. Should have an index. */
  id?: string;
  /** The column that is the payload, of type json, jsonb, or text that holds JSON. Default: the row as an object. */
  payload?: string;
  /** The columns of that object; default all. */
  columns?: readonly string[];
  /** The column that names the event. */
  eventName?: string;
  /** The column that says when it happened. */
  occurredAt?: string;
  /** Rows are read so long after they were first seen, for numbers that are drawn before their INSERT begins; default 0. */
  settle?: Duration;
}

/**
 * A source that loads the rows of a table in another PostgreSQL, each once, in the order of their ids, late commits
 * included. The table has to be on the primary, its ids from a sequence without a cache. Changed rows are not seen again.
 *
 * @throws PawlError `invalid_option`
 */
export function postgresTableSource(options: PostgresTableOptions): PullSource {
  const where = `source "${options.name}"`;
  const own = [
    "databaseUrl",
    "table",
    "id",
    "payload",
    "columns",
    "eventName",
    "occurredAt",
    "settle",
  ];
  refuseUnknownOptions(where, options, [...SOURCE_OPTIONS, ...own]);
  checkOwn(where, options);
  const { databaseUrl, table, id = "id" } = options;
  const base = sourceBase(
    // Reading executes nothing: an answer that was lost may be asked for again.
    { ...options, onFault: { unknown: "retry", ...options.onFault } },
    {
      type: "postgres-table",
      config: {
        database: isSecretRef(databaseUrl) ? describeSecret(databaseUrl) : maskUrl(databaseUrl),
        table,
        id,
      },
      cursor: "number",
    },
  );
  const settleMs = durationMs(options.settle ?? 0, `${where}.settle`);
  const connected = connector(where, databaseUrl, base.timeoutMs);
  return Object.freeze({
    ...base,
    check: () => void readSecret(databaseUrl, `${where}, databaseUrl`),
    request: (window: Window, context: FetchContext) =>
      connected((client) => ask(client, { options, settleMs }, { window, context })),
    parse: (page: RawPage) => parsePage(page),
  });
}

function checkOwn(where: string, options: PostgresTableOptions): void {
  const refused = (option: string, expected: string, value: unknown) =>
    badOption(where, option, expected, value);
  const { databaseUrl, table, columns, payload } = options;
  const isUrl = typeof databaseUrl === "string" && /^postgres(?:ql)?:\/\//.test(databaseUrl);
  if (!isUrl && !isSecretRef(databaseUrl)) {
    throw new PawlError(
      "invalid_option",
      `${where}: expected \`databaseUrl\` to be a URL such as postgresql://user@host/name, or env("NAME")`,
      { data: { option: "databaseUrl" } },
    );
  }
  const isName = (value: unknown) =>
    typeof value === "string" && value !== "" && !value.includes("\0");
  if (!isName(table) || !/^[^.]+(?:\.[^.]+)?$/.test(table)) {
    throw refused("table", 'a name such as "order_event" or "shop.order_event"', table);
  }
  for (const option of ["id", "payload", "eventName", "occurredAt"] as const) {
    const value = options[option];
    if (value !== undefined && !isName(value)) throw refused(option, "the name of a column", value);
  }
  if (columns === undefined) return;
  if (payload !== undefined) throw refused("columns", "left out beside `payload`", columns);
  if (!Array.isArray(columns) || columns.length === 0 || !columns.every(isName)) {
    throw refused("columns", "names of columns", columns);
  }
}

interface Asking {
  options: PostgresTableOptions;
  settleMs: number;
}

interface Content {
  readonly rows: readonly TableRow[];
  /** Kept for the next request; `null`: a new one is taken. */
  readonly mark: Mark | null;
  readonly more: boolean;
  /** The highest id that was seen. */
  readonly upTo: string;
}

async function ask(
  client: ClientBase,
  { options, settleMs }: Asking,
  { window, context }: { window: Window; context: FetchContext },
): Promise<RawPage> {
  const { after, limit, state } = window;
  const table = options.table.split(".").map(quoted).join(".");
  const id = options.id ?? "id";
  const facts = checked(await describeTable(client, table, id), { options, id });
  const look = () => lookAtWriters(client, { oid: facts.oid, table, id: quoted(id) });
  const known = markIn(state);
  const found = await markBeyond(look, { known, after, settleMs, signal: context.signal });
  if (found === undefined) return rawPage({ rows: [], mark: null, more: false, upTo: after });
  const { mark, isSettled } = found;
  if (!isSettled) return rawPage({ rows: [], mark, more: false, upTo: mark.upTo });
  const shape = shapeOf(facts, { options, table, id });
  const rows = await readRows(client, shape, { after, upTo: mark.upTo, limit });
  const more = rows.length >= limit;
  return rawPage({ rows, mark: more ? mark : null, more, upTo: mark.upTo });
}

function rawPage(content: Content): RawPage {
  return { bytes: Buffer.from(JSON.stringify(content)), contentType: "application/json" };
}

/** @throws SourceAnswered for a table that cannot be loaded without losing rows */
function checked(
  facts: TableFacts | undefined,
  { options, id }: { options: PostgresTableOptions; id: string },
): TableFacts {
  const { table } = options;
  const bad = (problem: string) => new SourceAnswered(`table ${table}: ${problem}`);
  if (facts === undefined) throw bad("is not there, or may not be seen by this user");
  if (facts.kind !== "r" && facts.kind !== "p") {
    throw bad("is no table; of views and foreign tables nobody knows who is writing");
  }
  if (facts.is_standby) {
    throw bad("is on a standby, which does not know who is writing; use the primary");
  }
  const named = { id, payload: options.payload, eventName: options.eventName };
  const columns = [...Object.values(named), options.occurredAt, ...(options.columns ?? [])];
  for (const column of columns) {
    if (column === undefined || Object.hasOwn(facts.columns, column)) continue;
    throw bad(`no column "${column}"; ${didYouMean(column, Object.keys(facts.columns))}`);
  }
  const type = facts.columns[id] ?? "";
  if (!WHOLE_NUMBER.test(type)) throw bad(`"${id}" is ${type}; expected a whole number`);
  if (facts.cache !== null && facts.cache !== "1") {
    throw bad(
      `the sequence of "${id}" gives each session ${facts.cache} numbers at once, so that lower ones may come at any time; set its CACHE to 1`,
    );
  }
  return facts;
}

function shapeOf(
  { columns }: TableFacts,
  { options, table, id }: { options: PostgresTableOptions; table: string; id: string },
): RowShape {
  const { eventName, occurredAt, payload } = options;
  const typeOf = (column: string) => columns[column] ?? "";
  const picked = options.columns?.map((column) => [column, typeOf(column)] as const);
  return {
    table,
    id: quoted(id),
    name: eventName === undefined ? "null" : `t.${quoted(eventName)}`,
    occurredAt: occurredAt === undefined ? "null" : timeOfColumn(occurredAt, typeOf(occurredAt)),
    payload:
      payload === undefined
        ? rowAsJson(picked === undefined ? columns : Object.fromEntries(picked))
        : jsonOfColumn(payload, typeOf(payload)),
  };
}

function parsePage({ bytes }: RawPage): Page {
  const { rows, mark, more, upTo } = JSON.parse(Buffer.from(bytes).toString("utf8")) as Content;
  const last = rows.at(-1)?.[0];
  return {
    events: rows.map(eventOf),
    more,
    state: { mark: mark as unknown as Json },
    ...(last !== undefined && { lag: Number(BigInt(upTo) - BigInt(last)) }),
  };
}

function eventOf([id, name, at, payload]: TableRow): SourceEvent | BadEvent {
  try {
    const [named, time] = [nameOf(name), timeOf(at)];
    return storable({
      id,
      ...(named !== undefined && { name: named }),
      ...(time !== undefined && { occurredAt: time }),
      payload: payload === null ? null : JSON.parse(payload),
    });
  } catch (error) {
    return { id, raw: Buffer.from(payload ?? ""), error: toError(error).message };
  }
}
