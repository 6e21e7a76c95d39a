/** The noun `requests`: what goes out through `pawl.request`, how each try ended, and what can be done about it. */

import { maskUrl } from "../../../base/mask.ts";
import { limit } from "../../../kernel/operator/fields.ts";
import { iso, table } from "../../../operate/table.ts";
import { type Desk, type Noun, type Verb, verb } from "../../../operate/verb.ts";
import { choice, name } from "../../../options/kinds.ts";
import { REQUEST_STATES, type RequestRow, requests } from "../../dispatch/sql.ts";
import { retry, stateText, stop } from "./change.ts";
import type { Requests } from "./requests.ts";
import { type RunDesk, run } from "./run.ts";
import { show } from "./show.ts";

const list: Verb<Requests["list"], Desk> = verb({
  help: "List requests in any state, the newest first",
  examples: [
    ["pawl requests list --status dead", "those that wait for a person"],
    ["pawl requests list --host crm.example --company 5", "of one company, to one host"],
  ],
  input: {
    host: name("only to this host, with its port if it has one: crm.example:8443", "host"),
    company: name("only of this company", "id"),
    plugin: name("only of this plugin", "id"),
    status: choice(REQUEST_STATES, REQUEST_STATES.join(", "), "status"),
    limit: limit(),
  },
  run: ({ store }, { status: state, ...filter }) => requests(store, { ...filter, state }),
  json: (rows) => ({ requests: rows.map(masked) }),
  text: (rows: RequestRow[]) =>
    table(rows.map(masked), [
      { head: "ID", value: (row) => row.id, align: "right" },
      { head: "STATUS", value: stateText },
      { head: "METHOD", value: (row) => row.method },
      { head: "URL", value: (row) => row.url },
      { head: "COMPANY", value: (row) => row.company },
      { head: "PLUGIN", value: (row) => row.plugin },
      { head: "ATTEMPT", value: (row) => `${row.attempt}/${row.attempts}`, align: "right" },
      { head: "ANSWER", value: (row) => row.status, align: "right" },
      { head: "NEXT", value: (row) => (row.state === "scheduled" ? iso(row.runAt) : null) },
      { head: "ENDED", value: (row) => iso(row.endedAt) },
      { head: "ERROR", value: (row) => row.error?.message },
    ]),
});

/** A query often carries a token. */
function masked(row: RequestRow): RequestRow {
  return { ...row, url: maskUrl(row.url) };
}

export const requestsNoun: Noun<Requests, RunDesk> = {
  name: "requests",
  help: "Look at requests of pawl.request; run, stop and retry them",
  verbs: { list, show, run, stop, retry },
};
