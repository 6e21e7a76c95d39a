/** The verbs that change tasks which somebody names: `cancel`, `retry` and `reschedule`. */

import { DURATION_MS_MAX } from "../../../base/duration.ts";
import { PawlError } from "../../../base/errors.ts";
import type { Act } from "../../../operate/sql.ts";
import { iso } from "../../../operate/table.ts";
import { type Desk, type Verb, verb } from "../../../operate/verb.ts";
import { required, typedAs } from "../../../options/field.ts";
import { duration, integer, numberId, time } from "../../../options/kinds.ts";
import { several } from "../../../options/parts.ts";
import type { Store } from "../../../store/store.ts";
import { retryDead } from "../dead/sql.ts";
import { dryRun } from "../fields.ts";
import { cancelTasks, findTask, moveTasks, type TaskDetail } from "../sql.ts";
import { inOtherState, isLive, requireTasks } from "./find.ts";
import type { Ended, Moved, Retried, Tasks } from "./tasks.ts";

const PRIORITY_MAX = 3;
const IDS = required(several(numberId("the tasks")));

export const cancel: Verb<Tasks["cancel"], Desk> = verb({
  help: "Cancel tasks: waiting ones end at once, running ones are asked to end",
  examples: [
    ['pawl tasks cancel 42 --why "ordered twice"', "wherever it waits or runs"],
    ["pawl tasks cancel 42 43 --dry-run", "what would be cancelled, and what asked"],
  ],
  input: { ids: IDS, dryRun },
  args: ["ids"],
  changes: true,
  run: async ({ store }, { ids, dryRun: isDryRun = false }, act): Promise<Ended> => {
    const found = await requireTasks(store, ids, { is: isLive, what: "live task" });
    return { dryRun: isDryRun, ...(await endTasks(store, found, { isDryRun, act })) };
  },
  json: (ended) => ({ action: "cancel", ...ended }),
  text: ({ dryRun: isDryRun, cancelled, requested }) => {
    const asked = isDryRun ? "would ask" : "asked";
    const parts = [
      `${isDryRun ? "would cancel" : "cancelled"} ${tasksText(cancelled.length)}`,
      ...(requested.length > 0 ? [`${asked} what runs to end: ${requested.join(", ")}`] : []),
    ];
    return parts.join("; ");
  },
});

/** Lists what ends at once and what is asked to end; in a dry run, what would. */
export async function endTasks(
  store: Store,
  found: readonly { id: string; state: string }[],
  { isDryRun, act }: { isDryRun: boolean; act: Act },
): Promise<{ cancelled: string[]; requested: string[] }> {
  const changes = isDryRun
    ? found.map(({ id, state }) => ({
        id,
        outcome: state === "running" ? "requested" : "cancelled",
      }))
    : await cancelTasks(
        store,
        found.map(({ id }) => id),
        act,
      );
  return { cancelled: idsWith(changes, "cancelled"), requested: idsWith(changes, "requested") };
}

export const retry: Verb<Tasks["retry"], Desk> = verb({
  help: "Start tasks again: a dead letter goes back to its queue, a scheduled task becomes ready now",
  examples: [
    ["pawl tasks retry 42", "instead of waiting for its next attempt"],
    ["pawl tasks retry 42 43 --dry-run", "refused unless both can be retried"],
  ],
  input: { ids: IDS, dryRun },
  args: ["ids"],
  changes: true,
  run: async ({ store }, { ids, dryRun: isDryRun = false }, act): Promise<Retried> => {
    const found = await requireTasks(store, ids, {
      is: ({ state }) => state === "dead" || state === "scheduled",
      what: "dead letter or scheduled task",
    });
    const done = isDryRun ? { count: ids.length, duplicates: [] } : await back(store, found, act);
    return { dryRun: isDryRun, ...done, ids };
  },
  json: ({ count, ids, duplicates, dryRun: isDryRun }) => ({
    action: "retry",
    dryRun: isDryRun,
    count,
    ids,
    duplicates,
  }),
  text: ({ dryRun: isDryRun, count, duplicates }) =>
    `${isDryRun ? "would retry" : "retried"} ${tasksText(count)}${duplicatesText(duplicates)}`,
});

async function back(
  store: Store,
  found: readonly TaskDetail[],
  act: Act,
): Promise<{ count: number; duplicates: string[] }> {
  const inState = (wanted: string) =>
    found.filter(({ state }) => state === wanted).map(({ id }) => id);
  const [dead, scheduled] = [inState("dead"), inState("scheduled")];
  const retried = dead.length === 0 ? [] : await retryDead(store, dead, act);
  const moved =
    scheduled.length === 0 ? [] : await moveTasks(store, scheduled, { ...act, inMs: 0 });
  const duplicates = idsWith(retried, "duplicate");
  // a running task is already what was asked for
  return { count: retried.length - duplicates.length + moved.length, duplicates };
}

export function duplicatesText(ids: readonly string[]): string {
  if (ids.length === 0) return "";
  const stay = ids.length === 1 ? "1 stays dead" : `${ids.length} stay dead`;
  return `; ${stay}, since a live task has the same key: ${ids.slice(0, 20).join(", ")}${ids.length > 20 ? ", …" : ""}`;
}

export const reschedule: Verb<Tasks["reschedule"], Desk> = verb({
  help: "Change the start time or the priority of a waiting task",
  examples: [
    ["pawl tasks reschedule 42 --at 2030-01-31T12:00:00Z", "not before then"],
    ["pawl tasks reschedule 42 --in 2h", "not before two hours from now"],
    ["pawl tasks reschedule 42 --priority 0", "before the others of its queue"],
  ],
  input: {
    id: required(numberId("the task")),
    runAt: typedAs("at", time("start at this time or later")),
    delay: typedAs(
      "in",
      duration({ help: "start after this duration or later", maxMs: DURATION_MS_MAX }),
    ),
    priority: integer({ help: "0 (first) to 3 (last)", min: 0, max: PRIORITY_MAX }),
  },
  args: ["id"],
  changes: true,
  check: ({ runAt, delay, priority }, { where, label }) => {
    const isBoth = runAt !== undefined && delay !== undefined;
    if (isBoth || (runAt === undefined && delay === undefined && priority === undefined)) {
      throw new PawlError(
        "invalid_option",
        `${where}: expected ${label("runAt")} or ${label("delay")}, or ${label("priority")}, or one of the two with it; got ${isBoth ? `both ${label("runAt")} and ${label("delay")}` : "none"}`,
      );
    }
  },
  run: ({ store }, { id, runAt, delay, priority }, act) =>
    move(store, id, { ...act, runAt, inMs: delay, priority }),
  json: ({ task }) => ({ action: "reschedule", task }),
  text: ({ id, task }) => {
    if (task === null) return `task ${id}: moved`;
    const { state, runAt, priority } = task;
    return `task ${id}: ${state}, not before ${iso(runAt)}, priority ${priority}`;
  },
});

async function move(store: Store, id: string, to: Parameters<typeof moveTasks>[2]): Promise<Moved> {
  await requireTasks(store, [id], {
    is: (task) => isLive(task) && task.state !== "running",
    what: "task that waits",
  });
  const [change] = await moveTasks(store, [id], to);
  const task = await findTask(store, id);
  // it started in between
  if (change?.outcome !== "changed")
    throw inOtherState(id, "task that waits", task?.state ?? "done");
  return { id, task: task ?? null };
}

export function idsWith(
  changes: readonly { id: string; outcome: string }[],
  outcome: string,
): string[] {
  return changes.filter((one) => one.outcome === outcome).map((one) => one.id);
}

function tasksText(count: number): string {
  return `${count} ${count === 1 ? "task" : "tasks"}`;
}
