/** The noun `tasks`: look at tasks, change those that live, and see which message goes to which handler and queue. */

import { iso } from "../../../operate/table.ts";
import { type Desk, listing, type Noun, type Verb, verb } from "../../../operate/verb.ts";
import { required } from "../../../options/field.ts";
import { choice, name, numberId } from "../../../options/kinds.ts";
import { limit } from "../fields.ts";
import { CUT, LIVE_STATES, statesOf, TASK_STATES, taskFilter } from "../filter.ts";
import { requireNames } from "../known.ts";
import { attemptsOf, findTask, type KindRow, kinds, type TaskRow, tasks } from "../sql.ts";
import { whyTask } from "../why.ts";
import { cancel, reschedule, retry } from "./change.ts";
import { isLive, noTask } from "./find.ts";
import type { HandledKind, ShownTask, Tasks, TasksDesk } from "./tasks.ts";
import { shownTask } from "./text.ts";

const list: Verb<Tasks["list"], Desk> = verb({
  help: "List tasks, the newest first; without --state, the live ones",
  examples: [
    ["pawl tasks list --state running", "what runs now, on any machine"],
    ["pawl tasks list --queue high --kind send-email --limit 10", "ten of a kind"],
    ["pawl tasks list --filter 'queue:high,low kind:send-* age:>10m'", "those that fit a filter"],
  ],
  input: {
    filter: taskFilter,
    state: choice(TASK_STATES, TASK_STATES.join(", "), "state"),
    queue: name("only of this queue"),
    kind: name("only of this kind"),
    limit: limit(),
  },
  run: async ({ store, report }, { state, ...selection }) => {
    await requireNames(store, selection);
    const otherwise = state === undefined ? LIVE_STATES : [state];
    const states = statesOf(selection.filter, otherwise).filter(
      (one) => state === undefined || one === state,
    );
    const { rows, isCut } = await tasks(store, { ...selection, states });
    if (isCut) report(CUT, "line");
    return rows;
  },
  ...listing<TaskRow>("tasks", [
    { head: "ID", value: (row) => row.id, align: "right" },
    { head: "STATE", value: (row) => row.state },
    { head: "QUEUE", value: (row) => row.queue },
    { head: "KIND", value: (row) => row.kind },
    { head: "ATTEMPT", value: (row) => row.attempt, align: "right" },
    { head: "RUN AT", value: (row) => iso(row.runAt) },
    { head: "ENDED", value: (row) => iso(row.endedAt) },
    { head: "ERROR", value: (row) => row.error?.message },
  ]),
});

const show: Verb<Tasks["show"], Desk> = verb({
  help: "Show a task with its payload, result, error and attempts",
  examples: [["pawl tasks show 42", "wherever it is: live, dead or in history"]],
  input: { id: required(numberId("the task")) },
  args: ["id"],
  absent: "task_not_found",
  run: async ({ store }, { id }): Promise<ShownTask> => {
    const task = await findTask(store, id);
    if (task === undefined) throw noTask(id);
    const attempts = await attemptsOf(store, id);
    const why = isLive(task) ? (await whyTask(store, id))?.line : undefined;
    return { task, attempts, why: why ?? null };
  },
  ...shownTask,
});

const kindsVerb: Verb<Tasks["kinds"], TasksDesk> = verb({
  help: "List the kinds of tasks with queue and handler; the handlers are those of the config, if there is one",
  examples: [["pawl tasks kinds", "also shows how many live workers take each kind"]],
  input: {},
  run: async (desk: TasksDesk) => withHandlers(await kinds(desk.store), desk),
  ...listing<HandledKind>("kinds", [
    { head: "MESSAGE", value: (row) => row.kind },
    { head: "HANDLER", value: (row) => row.handler },
    { head: "QUEUE", value: (row) => row.queue },
    { head: "APP", value: (row) => row.application },
    { head: "WORKERS", value: (row) => row.workers, align: "right" },
  ]),
});

/** First the kinds that the database knows, then those that only the config has. */
function withHandlers(rows: readonly KindRow[], desk: TasksDesk): HandledKind[] {
  const { handlers, application } = desk;
  const unseen = new Map(handlers().map((one) => [`${one.queue} ${one.kind}`, one]));
  const known = rows.map((row) => {
    const key = `${row.queue} ${row.kind}`;
    const handler = unseen.get(key)?.handler ?? null;
    unseen.delete(key);
    return { ...row, handler };
  });
  const fresh = { version: 1, application, definedAt: null, workers: 0 };
  return [...known, ...[...unseen.values()].map((one) => ({ ...one, ...fresh }))];
}

export const tasksNoun: Noun<Tasks, TasksDesk> = {
  name: "tasks",
  help: "Look at tasks, cancel, retry and reschedule them",
  verbs: { list, show, kinds: kindsVerb, cancel, retry, reschedule },
};
