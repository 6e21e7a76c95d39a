/** `pawl sources`: what is loaded, how far, and what holds it. */

import type { Command } from "commander";
import { requireSource } from "../inbox/people/act.ts";
import {
  type SourceState,
  sources,
  sourceWindows,
  WINDOW_STATES,
  type WindowState,
} from "../inbox/people/sql.ts";
import { isInGoodOrder, sourceLine } from "../inbox/people/why.ts";
import { command, does, withStore } from "./command.ts";
import * as change from "./sources-change.ts";
import * as log from "./sources-log.ts";
import { fields, iso, sections, table } from "./table.ts";
import { oneOf, wholeNumber } from "./values.ts";

const LIMIT_DEFAULT = 20;
const LIMIT_MAX = 10_000;

export function sourcesCommand(): Command {
  return command("sources", "See what is loaded, and decide where it is held")
    .addCommand(list(), { isDefault: true })
    .addCommand(show())
    .addCommand(windows())
    .addCommand(change.pause())
    .addCommand(change.resume())
    .addCommand(change.retry())
    .addCommand(change.release())
    .addCommand(change.skip())
    .addCommand(change.rewind())
    .addCommand(log.pruneLogCommand())
    .addCommand(log.partitions());
}

function list(): Command {
  const made = command("list", "List sources with their cursors and what waits", [
    ["pawl sources", "all of this database"],
    ["pawl sources --json", "with every number there is"],
  ]);
  return does(made, (call) =>
    withStore(call, async (store) => {
      const rows = await sources(store);
      const text = table(rows, [
        { head: "SOURCE", value: (row) => row.name },
        { head: "STATUS", value: (row) => row.status },
        { head: "REQUESTED", value: (row) => row.requested, align: "right" },
        { head: "STORED", value: (row) => row.stored, align: "right" },
        { head: "WAITING", value: (row) => row.backlog, align: "right" },
        { head: "SET ASIDE", value: (row) => row.set_aside, align: "right" },
        { head: "LAG", value: (row) => row.lag, align: "right" },
        { head: "PER MIN", value: (row) => row.per_minute, align: "right" },
        { head: "DUPLICATES", value: (row) => row.duplicates, align: "right" },
        { head: "LAST FETCH", value: (row) => iso(row.last_fetch_at) },
        { head: "WHY", value: (row) => (isInGoodOrder(row) ? "" : sourceLine(row)) },
      ]);
      return { json: { sources: rows.map(withWhy) }, text };
    }),
  );
}

function withWhy(row: SourceState): SourceState & { why: string } {
  return { ...row, why: sourceLine(row) };
}

function show(): Command {
  const made = command(
    "show <name>",
    "Show a source, why it is where it is, and its last windows",
    [["pawl sources show orders", "and what would free it"]],
  );
  return does(made, (call) =>
    withStore(call, async (store) => {
      const source = await requireSource(store, call.args[0] ?? "");
      const last = await sourceWindows(store, { source: source.name, limit: 5 });
      const text = sections({
        "": fields({
          source: source.name,
          status: source.status,
          why: sourceLine(source),
          type: source.type,
          application: source.application,
          requested: source.requested,
          stored: source.stored,
          received: source.received,
          waiting: source.backlog,
          "set aside": source.set_aside,
          duplicates: source.duplicates,
          "per minute": source.per_minute,
          lag: source.lag,
          "loaded by": source.loader,
          "last fetch": iso(source.last_fetch_at),
          "last event": iso(source.last_event_at),
          "last stored": iso(source.last_stored_at),
          window: source.window_id === null ? null : `${source.window_id} (${source.window_state})`,
        }),
        config: Object.keys(source.config).length === 0 ? undefined : JSON.stringify(source.config),
        windows: windowTable(last),
      });
      return { json: { source: withWhy(source), windows: last }, text };
    }),
  );
}

interface WindowsOptions {
  state?: WindowState;
  limit: number;
}

function windows(): Command {
  const made = command("windows [source]", "List windows, the latest first", [
    ["pawl sources windows orders", "what was asked, and what came of it"],
    ["pawl sources windows --state held", "what waits for a decision"],
  ])
    .option(
      "--state <state>",
      `one of ${WINDOW_STATES.join(", ")}`,
      oneOf("--state", WINDOW_STATES),
    )
    .option("--limit <n>", "at most so many", wholeNumber("--limit", LIMIT_MAX), LIMIT_DEFAULT);
  return does<WindowsOptions>(made, (call, options) =>
    withStore(call, async (store) => {
      const [source] = call.args;
      if (source !== undefined) await requireSource(store, source);
      const rows = await sourceWindows(store, { source, ...options });
      return { json: { windows: rows }, text: windowTable(rows) };
    }),
  );
}

function windowTable(rows: Awaited<ReturnType<typeof sourceWindows>>): string {
  return table(rows, [
    { head: "ID", value: (row) => row.id, align: "right" },
    { head: "SOURCE", value: (row) => row.source },
    { head: "STATE", value: (row) => row.state },
    { head: "AFTER", value: (row) => row.after_cursor, align: "right" },
    { head: "NEXT", value: (row) => row.next_cursor, align: "right" },
    { head: "EVENTS", value: (row) => row.events, align: "right" },
    { head: "BAD", value: (row) => row.bad, align: "right" },
    { head: "DUPLICATES", value: (row) => row.duplicates, align: "right" },
    { head: "ATTEMPT", value: (row) => row.attempt, align: "right" },
    { head: "SENT", value: (row) => iso(row.sent_at) },
    { head: "FAULT", value: (row) => row.fault },
    { head: "ERROR", value: (row) => row.error },
  ]);
}
