/** The verbs that change requests which somebody names: `stop` and `retry`. */

import { PawlError } from "../../../base/errors.ts";
import { retryDead } from "../../../kernel/operator/dead/sql.ts";
import { dryRun } from "../../../kernel/operator/fields.ts";
import { endTasks, idsWith } from "../../../kernel/operator/tasks/change.ts";
import { type Desk, type Verb, verb } from "../../../operate/verb.ts";
import { required } from "../../../options/field.ts";
import { numberId } from "../../../options/kinds.ts";
import { several } from "../../../options/parts.ts";
import type { Store } from "../../../store/store.ts";
import { type RequestRow, requests } from "../../dispatch/sql.ts";
import type { Requests, RetriedRequests, StoppedRequests } from "./requests.ts";

const IDS = required(several(numberId("the requests")));

export const stop: Verb<Requests["stop"], Desk> = verb({
  help: "Stop requests: waiting ones end at once, those being sent are asked to end",
  examples: [
    ['pawl requests stop 42 --why "the order was removed"', "kept in the audit"],
    ["pawl requests stop 42 43 --dry-run", "what would end, and what be asked to"],
  ],
  input: { ids: IDS, dryRun },
  args: ["ids"],
  changes: true,
  run: async ({ store }, { ids, dryRun: isDryRun = false }, act): Promise<StoppedRequests> => {
    const found = await requireRequests(store, ids, {
      is: ({ state }) => state === "ready" || state === "scheduled" || state === "running",
      what: "live request",
    });
    const { cancelled: stopped, requested } = await endTasks(store, found, { isDryRun, act });
    return { dryRun: isDryRun, stopped, requested };
  },
  json: (stopped) => ({ action: "stop", ...stopped }),
  text: ({ dryRun: isDryRun, stopped, requested }) => {
    const asked = `${isDryRun ? "would ask" : "asked"} what is sent to end: ${requested.join(", ")}`;
    return `${isDryRun ? "would stop" : "stopped"} ${countText(stopped.length)}${requested.length === 0 ? "" : `; ${asked}`}`;
  },
});

export const retry: Verb<Requests["retry"], Desk> = verb({
  help: "Send dead requests again, with fresh attempts; an expiry that has passed is removed",
  examples: [
    ["pawl requests retry 42 43", "refused unless both are dead"],
    ["pawl requests retry 42 43 --dry-run", "whether it would be"],
  ],
  input: { ids: IDS, dryRun },
  args: ["ids"],
  changes: true,
  run: async ({ store }, { ids, dryRun: isDryRun = false }, act): Promise<RetriedRequests> => {
    await requireRequests(store, ids, {
      is: ({ state }) => state === "dead",
      what: "dead request",
    });
    const retried = isDryRun ? ids : idsWith(await retryDead(store, ids, act), "retried");
    return { dryRun: isDryRun, retried };
  },
  json: (retried) => ({ action: "retry", ...retried }),
  text: ({ dryRun: isDryRun, retried }) =>
    `${isDryRun ? "would retry" : "retried"} ${countText(retried.length)}`,
});

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
      `request ${id}: is not a ${what}, ${now}; see \`pawl requests list\``,
      { data: { id, ...(row !== undefined && { state: row.state }) } },
    );
  }
  return found;
}

export function stateText({ state, reason }: { state: string; reason: string | null }): string {
  return reason === null ? state : `${state} (${reason})`;
}

function countText(count: number): string {
  return `${count} ${count === 1 ? "request" : "requests"}`;
}
