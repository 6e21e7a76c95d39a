/** The noun `sources`: what is loaded, up to which cursor, and what holds it. */

import { limit } from "../../../kernel/operator/fields.ts";
import { fields, iso, sections, table } from "../../../operate/table.ts";
import { type Desk, type Noun, type Verb, verb } from "../../../operate/verb.ts";
import { typedBy } from "../../../options/field.ts";
import { choice, name } from "../../../options/kinds.ts";
import {
  type SourceState,
  type SourceWindowRow,
  sources,
  sourceWindows,
  WINDOW_STATES,
} from "../sql.ts";
import { isInGoodOrder, sourceLine, whySource } from "../why.ts";
import { NAME, pause, release, resume, retry, rewind, skip } from "./change.ts";
import { requireSource } from "./find.ts";
import { makePartitions, pruneLog } from "./log.ts";
import type { ShownSource, Sources } from "./sources.ts";

const SHOWN_WINDOWS = 5;

const list: Verb<Sources["list"], Desk> = verb({
  help: "List sources with their cursors and how many events wait",
  examples: [
    ["pawl sources", "all of this database"],
    ["pawl sources --json", "with every number there is"],
  ],
  input: {},
  isDefault: true,
  run: ({ store }) => sources(store),
  json: (rows) => ({ sources: rows.map(withWhy) }),
  text: (rows: SourceState[]) =>
    table(rows, [
      { head: "SOURCE", value: (row) => row.name },
      { head: "STATUS", value: (row) => row.status },
      { head: "REQUESTED", value: (row) => row.requested, align: "right" },
      { head: "STORED", value: (row) => row.stored, align: "right" },
      { head: "WAITING", value: (row) => row.backlog, align: "right" },
      { head: "SET ASIDE", value: (row) => row.setAside, align: "right" },
      { head: "LAG", value: (row) => row.lag, align: "right" },
      { head: "PER MIN", value: (row) => row.perMinute, align: "right" },
      { head: "DUPLICATES", value: (row) => row.duplicates, align: "right" },
      { head: "LAST FETCH", value: (row) => iso(row.lastFetchAt) },
      { head: "WHY", value: (row) => (isInGoodOrder(row) ? "" : sourceLine(row)) },
    ]),
});

function withWhy(row: SourceState): SourceState & { why: string } {
  return { ...row, why: sourceLine(row) };
}

const get: Verb<Sources["get"], Desk> = verb({
  help: "Look at a source",
  input: { name: NAME },
  args: ["name"],
  absent: "source_not_found",
  run: ({ store }, { name: source }) => requireSource(store, source),
  json: (source) => ({ source: withWhy(source) }),
  text: sourceText,
});

const show: Verb<Sources["show"], Desk> = verb({
  help: "Show a source, why it is in its state, and its last windows",
  examples: [["pawl sources show orders", "and what would free it"]],
  input: { name: NAME },
  args: ["name"],
  absent: "source_not_found",
  run: async ({ store }, { name: source }): Promise<ShownSource> => ({
    source: await requireSource(store, source),
    windows: await sourceWindows(store, { source, limit: SHOWN_WINDOWS }),
  }),
  json: ({ source, windows: last }) => ({ source: withWhy(source), windows: last }),
  text: ({ source, windows: last }) =>
    sections({
      "": sourceText(source),
      config: Object.keys(source.config).length === 0 ? undefined : JSON.stringify(source.config),
      windows: windowTable(last),
    }),
});

function sourceText(source: SourceState): string {
  return fields({
    source: source.name,
    status: source.status,
    why: sourceLine(source),
    type: source.type,
    application: source.application,
    requested: source.requested,
    stored: source.stored,
    received: source.received,
    waiting: source.backlog,
    "set aside": source.setAside,
    duplicates: source.duplicates,
    "per minute": source.perMinute,
    lag: source.lag,
    "loaded by": source.loader,
    "last fetch": iso(source.lastFetchAt),
    "last event": iso(source.lastEventAt),
    "last stored": iso(source.lastStoredAt),
    window: source.windowId === null ? null : `${source.windowId} (${source.windowState})`,
  });
}

const why: Verb<Sources["why"], Desk> = verb({
  help: "Say why a source is in its state, and what would change that",
  input: { name: NAME },
  args: ["name"],
  run: ({ store }, { name: source }) => whySource(store, source),
  text: ({ line }) => line,
});

const windows: Verb<Sources["windows"], Desk> = verb({
  help: "List windows, the latest first",
  examples: [
    ["pawl sources windows orders", "what was requested, and the result"],
    ["pawl sources windows --state held", "what waits for a decision"],
  ],
  input: {
    source: name("only of this source"),
    state: choice(WINDOW_STATES, `one of ${WINDOW_STATES.join(", ")}`, "state"),
    limit: typedBy(limit(20), limit(100)),
  },
  typedArgs: ["source"],
  run: async ({ store }, filter) => {
    if (filter.source !== undefined) await requireSource(store, filter.source);
    return sourceWindows(store, filter);
  },
  json: (rows) => ({ windows: rows }),
  text: windowTable,
});

function windowTable(rows: SourceWindowRow[]): string {
  return table(rows, [
    { head: "ID", value: (row) => row.id, align: "right" },
    { head: "SOURCE", value: (row) => row.source },
    { head: "STATE", value: (row) => row.state },
    { head: "AFTER", value: (row) => row.afterCursor, align: "right" },
    { head: "NEXT", value: (row) => row.nextCursor, align: "right" },
    { head: "EVENTS", value: (row) => row.events, align: "right" },
    { head: "BAD", value: (row) => row.bad, align: "right" },
    { head: "DUPLICATES", value: (row) => row.duplicates, align: "right" },
    { head: "ATTEMPT", value: (row) => row.attempt, align: "right" },
    { head: "SENT", value: (row) => iso(row.sentAt) },
    { head: "FAULT", value: (row) => row.fault },
    { head: "ERROR", value: (row) => row.error },
  ]);
}

export const sourcesNoun: Noun<Sources, Desk> = {
  name: "sources",
  help: "See what is loaded, and decide where it is held",
  verbs: {
    list,
    get,
    show,
    why,
    windows,
    pause,
    resume,
    retry,
    release,
    skip,
    rewind,
    pruneLog,
    makePartitions,
  },
  // `show` says more than `get`, and `pawl why source:<name>` says the same as `why`
  paths: { get: null, why: null, makePartitions: "sources partitions" },
};
