/** The noun `audit`: what operators did, by whom and why. */

import { shownRow } from "../base/mask-json.ts";
import { withDefault } from "../options/field.ts";
import { integer, name } from "../options/kinds.ts";
import { type AuditRow, auditRows } from "./sql.ts";
import { iso, table } from "./table.ts";
import { type Desk, type Noun, type Verb, verb } from "./verb.ts";

const LIMIT_DEFAULT = 50;
const LIMIT_MAX = 10_000;

export interface ListAudit {
  /** What was changed, such as `task:42`, `queue:low` or `all`. */
  target?: string;
  /** A verb such as `dead.retry`, or a noun for all its verbs. */
  action?: string;
  /** Maximum number of rows; default 50. */
  limit?: number;
}

/** `pawl.audit`. */
export interface Audit {
  /** Returns rows, latest first. */
  list(options?: ListAudit): Promise<AuditRow[]>;
}

const list: Verb<Audit["list"], Desk> = verb({
  help: "List what operators did, the newest first",
  examples: [
    ["pawl audit --target task:42", "all that was done to a task"],
    ["pawl audit --target queue:low --limit 5", "who turned it off and on"],
    ["pawl audit --action dead.remove", "what was removed from the dead letters"],
  ],
  input: {
    target: name("only acts on this: task:42, queue:low or all", "target"),
    action: name("only this verb, such as dead.retry; or a noun, for all of its verbs", "verb"),
    limit: withDefault(
      LIMIT_DEFAULT,
      integer({ help: "the maximum number of rows", max: LIMIT_MAX }),
    ),
  },
  run: ({ store }, filter) => auditRows(store, filter),
  json: (rows) => ({ audit: rows.map(shownRow) }),
  text: (rows: AuditRow[]) =>
    table(rows.map(shownRow) as unknown as AuditRow[], [
      { head: "AT", value: (row) => iso(row.at) },
      { head: "BY", value: (row) => row.by },
      { head: "ACTION", value: (row) => row.action },
      { head: "TARGET", value: (row) => row.target },
      { head: "WHY", value: (row) => row.why },
      {
        head: "DETAIL",
        value: (row) => (row.detail === null ? null : JSON.stringify(row.detail)),
      },
    ]),
});

export const auditNoun: Noun<Audit, Desk> = {
  name: "audit",
  help: "Look at what operators did",
  verbs: { list },
  paths: { list: "audit" },
};
