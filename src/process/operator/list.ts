/** The verb `list`: runs with what their processes show of them. */

import { shownRow } from "../../base/mask-json.ts";
import { limit } from "../../kernel/operator/fields.ts";
import { type Column, iso, table } from "../../operate/table.ts";
import { type Desk, type Verb, verb } from "../../operate/verb.ts";
import { choice, name, text } from "../../options/kinds.ts";
import { repeated } from "../../options/parts.ts";
import { refuseUnknownColumns, wantedColumns } from "../columns.ts";
import { RUN_STATUSES, type RunRow, requireProcess, runs, versions } from "../list/sql.ts";
import type { Processes } from "./processes.ts";
import { columnText, taskText } from "./text.ts";

export const listRuns: Verb<Processes["list"], Desk> = verb({
  help: "List runs of processes, the newest first",
  examples: [
    ["pawl processes list --status error", "those that wait for a person"],
    ["pawl processes list --process new-order --key 42", "the runs with a key"],
    ["pawl processes list --where order=7", "by a column that a process declares"],
  ],
  input: {
    process: name("only of this process"),
    status: choice(RUN_STATUSES, RUN_STATUSES.join(", "), "status"),
    key: name("only with this key", "key"),
    lane: name("only of this lane", "lane"),
    where: repeated(
      text(
        "only runs that show this in a column of their process: order=7; may be repeated",
        "condition",
      ),
    ),
    limit: limit(),
  },
  isTolerant: true,
  run: async ({ store }, { where: given, ...filter }, { where, label }) => {
    const wanted = given === undefined ? null : wantedColumns(where, label("where"), given);
    const found = await runs(store, { ...filter, where: wanted });
    if (found.length > 0) return found;
    if (filter.process !== undefined) await requireProcess(store, filter.process);
    if (wanted === null) return found;
    const known = (await versions(store, filter.process ?? null)).flatMap((row) => row.columns);
    refuseUnknownColumns(where, wanted, [...new Set(known)]);
    return found;
  },
  json: (rows) => ({ runs: rows.map(shownRow) }),
  text: (rows: RunRow[]) =>
    table(rows, [
      { head: "ID", value: (row) => row.id, align: "right" },
      { head: "PROCESS", value: (row) => row.process },
      { head: "VERSION", value: (row) => row.version, align: "right" },
      { head: "STATUS", value: (row) => row.status },
      { head: "STEP", value: (row) => row.step },
      { head: "WAITS FOR", value: (row) => row.waitsFor ?? taskText(row) },
      { head: "UNTIL", value: (row) => iso(row.until) },
      { head: "KEY", value: (row) => row.key },
      ...(rows.some((row) => row.lane !== null)
        ? [{ head: "LANE", value: (row: RunRow) => row.lane }]
        : []),
      { head: "STARTED", value: (row) => iso(row.createdAt) },
      { head: "ENDED", value: (row) => iso(row.endedAt) },
      ...columnsOf(rows),
      ...(rows.some((row) => row.warnings > 0)
        ? [{ head: "WARNINGS", value: (row: RunRow) => row.warnings, align: "right" as const }]
        : []),
      { head: "MESSAGE", value: (row) => row.error?.message ?? row.message },
    ]),
});

/** Those of all processes in the list, each once. */
function columnsOf(rows: readonly RunRow[]): Column<RunRow>[] {
  const names = new Set(rows.flatMap((row) => Object.keys(row.columns)));
  return [...names].map((own) => ({
    head: own.toUpperCase(),
    value: (row) => columnText(row.columns[own]),
  }));
}
