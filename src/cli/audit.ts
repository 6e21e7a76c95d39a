/** `pawl audit`: what operators did, by whom and why. */

import type { Command } from "commander";
import { auditRows } from "../kernel/people/audit/sql.ts";
import { command, does, withStore } from "./command.ts";
import { iso, table } from "./table.ts";
import { wholeNumber } from "./values.ts";

const LIMIT_DEFAULT = 50;
const LIMIT_MAX = 10_000;

export function auditCommand(): Command {
  const made = command("audit", "List what operators did, the latest first", [
    ["pawl audit --target task:42", "all that was done to a task"],
    ["pawl audit --target queue:low --limit 5", "who turned it off and on"],
  ])
    .option("--target <target>", "only about this: task:42, queue:low or all")
    .option("--limit <n>", "at most so many", wholeNumber("--limit", LIMIT_MAX), LIMIT_DEFAULT);
  return does<{ target?: string; limit: number }>(made, (call, options) =>
    withStore(call, async (store) => {
      const rows = await auditRows(store, options);
      const text = table(rows, [
        { head: "AT", value: (row) => iso(row.at) },
        { head: "BY", value: (row) => row.by },
        { head: "ACTION", value: (row) => row.action },
        { head: "TARGET", value: (row) => row.target },
        { head: "WHY", value: (row) => row.why },
        {
          head: "DETAIL",
          value: (row) => (row.detail === null ? null : JSON.stringify(row.detail)),
        },
      ]);
      return { json: { audit: rows }, text };
    }),
  );
}
