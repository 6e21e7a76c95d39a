/**
 * A table of another PostgreSQL as a source: rows that are only added, ordered by a numeric id. It reads only up to the
 * point before which no row can appear any more, so late commits are not lost; and one statement at a time, so none of our
 * transactions stays open there.
 */

import type { ClientBase } from "pg";
import type { Duration } from "../../base/duration.ts";
import { rawJson } from "../../base/json-text.ts";
import { maskUrl } from "../../base/mask.ts";
import { badOption } from "../../base/options.ts";
import { didYouMean } from "../../base/suggest.ts";
import { messageOf } from "../../base/thrown.ts";
import { type FieldsOf, field, required, withDefault } from "../../options/field.ts";
import { duration, matching } from "../../options/kinds.ts";
import { list } from "../../options/parts.ts";
import { describeSecret, isSecretRef, readSecret, type SecretRef } from "../../secrets/secret.ts";
import { readSource, type SourceOptions } from "../define-source.ts";
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
import { connector, refuseMetadataHost } from "./postgres-connect.ts";
import { isBeyond, type Mark, markBeyond, markIn } from "./postgres-mark.ts";
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
  /** The URL of the other database; better `env("NAME")` or `file("/path")`. The login needs only SELECT on the table. */
  databaseUrl: string | SecretRef;
  /** The table's name, such as `order_event` or `shop.order_event`. */
  table: string;
  /** The column of the numeric id, filled by a sequence or identity; default `id`. Should have an index. */
  id?: string;
  /** The column of the payload, of type json, jsonb, or text with JSON. Default: the row as an object. */
  payload?: string;
  /** The columns of that object; default: all. */
  columns?: readonly string[];
  /** The column of the event's name. */
  eventName?: string;
  /** The column of the time when the event occurred. */
  occurredAt?: string;
  /**
   * How long to wait after a row is first seen before it is read, in case numbers are drawn long before the INSERT; default
   * 0.
   */
  settle?: Duration;
}

const NAME = (text: string) => text !== "" && !text.includes("\0");
const COLUMN = matching("the name of a column", NAME);
const OWN = {
  databaseUrl: required(
    field<string | SecretRef>({
      kind: "url",
      help: "of the other database",
      shape: "url",
      expected: 'a URL such as postgresql://user@host/name, or env("NAME")',
      isSecret: true,
      read: (given) => {
        const isUrl = typeof given === "string" && /^postgres(?:ql)?:\/\//.test(given);
        return isUrl || isSecretRef(given) ? given : undefined;
      },
    }),
  ),
  table: required(
    matching(
      'a name such as "order_event" or "shop.order_event"',
      (text) => NAME(text) && /^[^.]+(?:\.[^.]+)?$/.test(text),
    ),
  ),
  id: withDefault("id", COLUMN),
  payload: COLUMN,
  columns: list(COLUMN),
  eventName: COLUMN,
  occurredAt: COLUMN,
  settle: withDefault(0, duration({ help: "how long after they were first seen rows are read" })),
} satisfies FieldsOf<Omit<PostgresTableOptions, keyof SourceOptions>>;

/**
 * Returns a source that loads the rows of a table in another PostgreSQL, each once, ordered by id, late commits included.
 * The table must be on the primary, and its ids must come from a sequence without a cache. Changed rows are not loaded
 * again.
 *
 * @throws PawlError `invalid_option`
 */
export function postgresTableSource(options: PostgresTableOptions): PullSource {
  const { own, at: where, base: baseOf } = readSource("postgresTableSource", OWN, options);
  const { databaseUrl, table, id, columns, payload, settle: settleMs } = own;
  if (columns !== undefined && payload !== undefined)
    throw badOption(where, "columns", "left out when `payload` is given", columns);
  const base = baseOf({
    type: "postgres-table",
    config: {
      database: isSecretRef(databaseUrl) ? describeSecret(databaseUrl) : maskUrl(databaseUrl),
      table,
      id,
    },
    cursor: "number",
    // Reading executes nothing: a lost answer may be requested again.
    onFault: { unknown: "retry" },
  });
  const connected = connector(where, databaseUrl, base.timeoutMs);
  return Object.freeze({
    ...base,
    check: () => {
      readSecret(databaseUrl, `${where}, databaseUrl`);
    },
    checkHost: () => {
      if (!isSecretRef(databaseUrl)) refuseMetadataHost(where, databaseUrl);
    },
    request: (window: Window, context: FetchContext) =>
      connected((client) =>
        ask(client, { options, settleMs, start: base.start }, { window, context }),
      ),
    parse: (page: RawPage) => parsePage(page),
  });
}

interface Asking {
  options: PostgresTableOptions;
  settleMs: number;
  /** The first cursor of the source, which may be ahead of the rows. */
  start: string;
}

interface Content {
  readonly rows: readonly TableRow[];
  /** Stored for the next request; `null`: a new one is taken. */
  readonly mark: Mark | null;
  readonly more: boolean;
  /** The highest id that was seen. */
  readonly upTo: string;
}

async function ask(
  client: ClientBase,
  { options, settleMs, start }: Asking,
  { window, context }: { window: Window; context: FetchContext },
): Promise<RawPage> {
  const { after, limit, state } = window;
  const table = options.table.split(".").map(quoted).join(".");
  const id = options.id ?? "id";
  const facts = checked(await describeTable(client, table, id), { options, id });
  let highest: string | null = null;
  const look = async () => {
    const seen = await lookAtWriters(client, { oid: facts.oid, table, id: quoted(id) });
    highest = seen.up_to;
    return seen;
  };
  const known = markIn(state);
  const found = await markBeyond(look, { known, after, settleMs, signal: context.signal });
  if (found === undefined && after !== start)
    refuseOtherNumbers(options.table, { after, highest, ...facts });
  if (found === undefined) return rawPage({ rows: [], mark: null, more: false, upTo: after });
  const { mark, isSettled } = found;
  if (!isSettled) return rawPage({ rows: [], mark, more: false, upTo: mark.upTo });
  const shape = shapeOf(facts, { options, table, id });
  const rows = await readRows(client, shape, { after, upTo: mark.upTo, limit });
  const more = rows.length >= limit;
  return rawPage({ rows, mark: more ? mark : null, more, upTo: mark.upTo });
}

/**
 * Refuses a table whose rows, and whose sequence too, are all below the cursor: its numbers began again, and new rows would
 * never be read. If only old rows are left, the sequence is still ahead; an empty table says nothing.
 */
function refuseOtherNumbers(
  table: string,
  { after, highest, drawn }: { after: string; highest: string | null; drawn: string | null },
): void {
  const isBelow = (id: string) => isBeyond(after, id);
  if (highest === null || !isBelow(highest) || (drawn !== null && !isBelow(drawn))) return;
  throw new SourceAnswered(
    `table ${table}: its ids end at ${highest}, before the cursor ${after}: its numbers began again, as after TRUNCATE … RESTART IDENTITY or a restore; give the source a new name to load it from its beginning (ids that were loaded before would be taken for the same events), or rewind this one where they are the same`,
  );
}

function rawPage(content: Content): RawPage {
  return { bytes: Buffer.from(JSON.stringify(content)), contentType: "application/json" };
}

/** @throws SourceAnswered if the table cannot be loaded without losing rows */
function checked(
  facts: TableFacts | undefined,
  { options, id }: { options: PostgresTableOptions; id: string },
): TableFacts {
  const { table } = options;
  const bad = (problem: string) => new SourceAnswered(`table ${table}: ${problem}`);
  if (facts === undefined) throw bad("does not exist, or this user may not see it");
  if (facts.kind !== "r" && facts.kind !== "p") {
    throw bad("is not a table; for views and foreign tables nobody can tell who is writing");
  }
  if (facts.is_standby) {
    throw bad("is on a standby, which cannot tell who is writing; use the primary");
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
      payload: payload === null ? null : rawJson(payload),
    });
  } catch (error) {
    return { id, raw: Buffer.from(payload ?? ""), error: messageOf(error) };
  }
}
