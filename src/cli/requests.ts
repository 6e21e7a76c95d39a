/** `pawl requests`: what goes out through pawl.send, how each try ended, and what can be done about it. */

import type { Command } from "commander";
import { PawlError } from "../base/errors.ts";
import { retryDead } from "../kernel/people/dead/sql.ts";
import {
  REQUEST_STATES,
  type RequestRow,
  type RequestState,
  requests,
} from "../requests/dispatch/sql.ts";
import { maskUrl } from "../requests/mask-url.ts";
import type { Store } from "../store/store.ts";
import { actOf, withAct } from "./act.ts";
import { command, does, withStore } from "./command.ts";
import type { Answer } from "./output.ts";
import { runCommand } from "./requests-run.ts";
import { showCommand } from "./requests-show.ts";
import { iso, table } from "./table.ts";
import { distinct, endTasks, idsWith, type ManyOptions } from "./tasks-change.ts";
import { oneOf, wholeNumber } from "./values.ts";

const LIMIT_DEFAULT = 50;
const LIMIT_MAX = 10_000;

export function requestsCommand(): Command {
  return command("requests", "Look at requests of pawl.send; run, stop and retry them")
    .addCommand(list())
    .addCommand(showCommand())
    .addCommand(runCommand())
    .addCommand(stop())
    .addCommand(retry());
}

interface ListOptions {
  host?: string;
  company?: string;
  plugin?: string;
  status?: RequestState;
  limit: number;
}

function list(): Command {
  const made = command("list", "List requests wherever they are, the newest first", [
    ["pawl requests list --status dead", "those that wait for a person"],
    ["pawl requests list --host crm.example --company 5", "of one company, to one host"],
  ])
    .option("--host <host>", "only to this host, with its port if it has one: crm.example:8443")
    .option("--company <id>", "only of this company")
    .option("--plugin <id>", "only of this plugin")
    .option("--status <status>", REQUEST_STATES.join(", "), oneOf("--status", REQUEST_STATES))
    .option("--limit <n>", "at most so many", wholeNumber("--limit", LIMIT_MAX), LIMIT_DEFAULT);
  return does<ListOptions>(made, (call, { status, ...filter }) =>
    withStore(call, async (store) => {
      const rows = (await requests(store, { ...filter, state: status })).map(masked);
      const text = table(rows, [
        { head: "ID", value: (row) => row.id, align: "right" },
        { head: "STATUS", value: stateText },
        { head: "METHOD", value: (row) => row.method },
        { head: "URL", value: (row) => row.url },
        { head: "COMPANY", value: (row) => row.company },
        { head: "PLUGIN", value: (row) => row.plugin },
        { head: "ATTEMPT", value: (row) => `${row.attempt}/${row.attempts}`, align: "right" },
        { head: "ANSWER", value: (row) => row.status, align: "right" },
        { head: "NEXT", value: (row) => (row.state === "scheduled" ? iso(row.run_at) : null) },
        { head: "ENDED", value: (row) => iso(row.ended_at) },
        { head: "ERROR", value: (row) => row.error?.message },
      ]);
      return { json: { requests: rows }, text };
    }),
  );
}

/** A query often carries a token. */
function masked(row: RequestRow): RequestRow {
  return { ...row, url: maskUrl(row.url) };
}

function stateText({ state, reason }: RequestRow): string {
  return reason === null ? state : `${state} (${reason})`;
}

function stop(): Command {
  const made = command(
    "stop <ids...>",
    "End requests that live: what waits ends at once, what is being sent is asked to end",
    [
      ['pawl requests stop 42 --why "the order was removed"', "kept in the audit"],
      ["pawl requests stop 42 43 --dry-run", "what would end, and what be asked to"],
    ],
  ).option("--dry-run", "say what would happen, change nothing");
  return does<ManyOptions>(withAct(made), (call, options) => {
    const ids = distinct(call.args);
    return withStore(call, (store) => stopAll(store, ids, options));
  });
}

async function stopAll(store: Store, ids: string[], options: ManyOptions): Promise<Answer> {
  const { dryRun = false } = options;
  const found = await requireRequests(store, ids, {
    is: ({ state }) => state === "ready" || state === "scheduled" || state === "running",
    what: "request that lives",
  });
  const { cancelled: stopped, requested } = await endTasks(store, found, options);
  const asked = `${dryRun ? "would ask" : "asked"} what is sent to end: ${requested.join(", ")}`;
  return {
    json: { action: "stop", dryRun, stopped, requested },
    text: `${dryRun ? "would stop" : "stopped"} ${countText(stopped.length)}${requested.length === 0 ? "" : `; ${asked}`}`,
  };
}

function retry(): Command {
  const made = command(
    "retry <ids...>",
    "Send dead requests again, with fresh attempts; an expiry that has passed is lifted",
    [
      ["pawl requests retry 42 43", "refused unless both are dead"],
      ["pawl requests retry 42 43 --dry-run", "whether it would be"],
    ],
  ).option("--dry-run", "say what would happen, change nothing");
  return does<ManyOptions>(withAct(made), (call, options) => {
    const ids = distinct(call.args);
    return withStore(call, async (store) => {
      const is = ({ state }: RequestRow) => state === "dead";
      await requireRequests(store, ids, { is, what: "dead request" });
      const { dryRun = false } = options;
      const retried = dryRun
        ? ids
        : idsWith(await retryDead(store, ids, actOf(options)), "retried");
      return {
        json: { action: "retry", dryRun, retried },
        text: `${dryRun ? "would retry" : "retried"} ${countText(retried.length)}`,
      };
    });
  });
}

/** Nothing is half done: one that is in another state, and none is changed. */
async function requireRequests(
  store: Store,
  ids: readonly string[],
  { is, what }: { is: (row: RequestRow) => boolean; what: string },
): Promise<RequestRow[]> {
  const found: RequestRow[] = [];
  for (const id of ids) {
    const [row] = await requests(store, { id, limit: 1 });
    if (row !== undefined && is(row)) {
      found.push(row);
      continue;
    }
    const now = row === undefined ? "there is none of this id" : `it is ${stateText(row)}`;
    throw new PawlError(
      "task_not_found",
      `request ${id}: is no ${what}, ${now}; see \`pawl requests list\``,
      { data: { id, ...(row !== undefined && { state: row.state }) } },
    );
  }
  return found;
}

function countText(count: number): string {
  return `${count} ${count === 1 ? "request" : "requests"}`;
}
