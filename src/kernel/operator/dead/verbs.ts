/** The noun `dead`: look at dead letters, send them back to their queues, or discard them. */

import { shownRow } from "../../../base/mask-json.ts";
import { iso, table } from "../../../operate/table.ts";
import { type Desk, listing, type Noun, type Verb, verb } from "../../../operate/verb.ts";
import { required } from "../../../options/field.ts";
import { numberId } from "../../../options/kinds.ts";
import { limit } from "../fields.ts";
import { CUT } from "../filter.ts";
import { requireNames } from "../known.ts";
import { attemptsOf, findTask } from "../sql.ts";
import { inOtherState, noTask } from "../tasks/find.ts";
import type { TasksDesk } from "../tasks/tasks.ts";
import { shownTask } from "../tasks/text.ts";
import { whyTask } from "../why.ts";
import { FILTERS, remove, retry } from "./change.ts";
import type { DeadLetters } from "./dead.ts";
import { type DeadGroup, type DeadRow, dead, deadGroups } from "./sql.ts";

const list: Verb<DeadLetters["list"], Desk> = verb({
  help: "List dead letters, the most recent first",
  examples: [
    ["pawl dead list --kind send-email", "those of a kind"],
    ['pawl dead list --error "timed out" --json', "those that died of a timeout"],
    ["pawl dead list --filter 'kind:send-* since:24h err:timeout'", "those that fit a filter"],
    ["pawl dead list --groups", "how many died of what"],
  ],
  input: { ...FILTERS, limit: limit() },
  isTolerant: true,
  others: { groups: "groups" },
  run: async ({ store, report }, filter) => {
    await requireNames(store, filter);
    const { rows, isCut } = await dead(store, filter);
    if (isCut) report(CUT, "line");
    return rows;
  },
  json: (rows) => ({ dead: rows.map(shownRow) }),
  text: (rows: DeadRow[]) =>
    table(rows, [
      { head: "ID", value: (row) => row.id, align: "right" },
      { head: "QUEUE", value: (row) => row.queue },
      { head: "KIND", value: (row) => row.kind },
      { head: "REASON", value: (row) => row.reason },
      { head: "ATTEMPT", value: (row) => row.attempt, align: "right" },
      { head: "DIED", value: (row) => iso(row.diedAt) },
      { head: "LANE", value: (row) => (row.isBlocking ? `${row.lane} (blocked)` : row.lane) },
      { head: "ERROR", value: (row) => row.error?.message },
    ]),
});

const groups: Verb<DeadLetters["groups"], Desk> = verb({
  help: "Count dead letters by their error, the largest group first",
  examples: [
    ["pawl dead groups", "how many died of what"],
    ["pawl dead groups --filter since:24h", "of those that died in the last 24 hours"],
  ],
  input: { ...FILTERS, limit: limit() },
  isTolerant: true,
  run: async ({ store }, filter) => {
    await requireNames(store, filter);
    return deadGroups(store, filter);
  },
  ...listing<DeadGroup>("groups", [
    { head: "TASKS", value: (row) => row.tasks, align: "right" },
    { head: "BLOCKING", value: (row) => row.blocking, align: "right" },
    { head: "QUEUE", value: (row) => row.queue },
    { head: "KIND", value: (row) => row.kind },
    { head: "REASON", value: (row) => row.reason },
    { head: "FIRST DIED", value: (row) => iso(row.firstDiedAt) },
    { head: "LAST DIED", value: (row) => iso(row.lastDiedAt) },
    { head: "EXAMPLE", value: (row) => row.example, align: "right" },
    { head: "ERROR", value: (row) => row.error },
  ]),
});

const show: Verb<DeadLetters["show"], Desk> = verb({
  help: "Show a dead letter with its payload, error and attempts",
  examples: [["pawl dead show 42", "why it died, and its payload"]],
  input: { id: required(numberId("the dead letter")) },
  args: ["id"],
  absent: "task_not_found",
  isTolerant: true,
  run: async ({ store }, { id }) => {
    const task = await findTask(store, id);
    if (task === undefined) throw noTask(id);
    if (task.state !== "dead") throw inOtherState(id, "dead letter", task.state);
    const attempts = await attemptsOf(store, id);
    const why = (await whyTask(store, id))?.line;
    return { task, attempts, why: why ?? null };
  },
  ...shownTask,
});

export const deadNoun: Noun<DeadLetters, TasksDesk> = {
  name: "dead",
  help: "Look at dead letters, retry or remove them",
  verbs: { list, groups, show, retry, remove },
};
