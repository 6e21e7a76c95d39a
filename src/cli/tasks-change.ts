/** `pawl tasks cancel`, `retry` and `reschedule`: changes to tasks that somebody names. */

import type { Command } from "commander";
import { PawlError } from "../base/errors.ts";
import type { Act } from "../kernel/people/audit/sql.ts";
import { retryDead } from "../kernel/people/dead/sql.ts";
import { cancelTasks, findTask, moveTasks } from "../kernel/people/sql.ts";
import type { Store } from "../store/store.ts";
import { actOf, withAct } from "./act.ts";
import { command, does, withStore } from "./command.ts";
import type { Answer } from "./output.ts";
import { iso } from "./table.ts";
import { inOtherState, isLive, requireTasks } from "./task-state.ts";
import { duration, isoTime, taskId, wholeNumber } from "./values.ts";

const PRIORITY_MAX = 3;

export interface ManyOptions extends Act {
  dryRun?: boolean;
}

export function cancel(): Command {
  const made = command(
    "cancel <ids...>",
    "End tasks: what waits ends at once, what runs is asked to end",
    [
      ['pawl tasks cancel 42 --why "ordered twice"', "wherever it waits or runs"],
      ["pawl tasks cancel 42 43 --dry-run", "what would be cancelled, and what asked"],
    ],
  ).option("--dry-run", "say what would happen, change nothing");
  return does<ManyOptions>(withAct(made), (call, options) => {
    const ids = distinct(call.args);
    return withStore(call, (store) => cancelAll(store, ids, options));
  });
}

async function cancelAll(store: Store, ids: string[], options: ManyOptions): Promise<Answer> {
  const { dryRun = false } = options;
  const found = await requireTasks(store, ids, { is: isLive, what: "live task" });
  const { cancelled, requested } = await endTasks(store, found, options);
  const text = [
    `${dryRun ? "would cancel" : "cancelled"} ${tasksText(cancelled.length)}`,
    ...(requested.length > 0
      ? [`${dryRun ? "would ask" : "asked"} what runs to end: ${requested.join(", ")}`]
      : []),
  ];
  return { json: { action: "cancel", dryRun, cancelled, requested }, text: text.join("; ") };
}

/** What ends at once and what is asked to; in a dry run what would. */
export async function endTasks(
  store: Store,
  found: readonly { id: string; state: string }[],
  options: ManyOptions,
): Promise<{ cancelled: string[]; requested: string[] }> {
  const changes =
    options.dryRun === true
      ? found.map(({ id, state }) => ({
          id,
          outcome: state === "running" ? "requested" : "cancelled",
        }))
      : await cancelTasks(
          store,
          found.map(({ id }) => id),
          actOf(options),
        );
  return { cancelled: idsWith(changes, "cancelled"), requested: idsWith(changes, "requested") };
}

export function retry(): Command {
  const made = command(
    "retry <ids...>",
    "Start tasks anew: a dead letter goes back to its queue, a scheduled task becomes ready now",
    [
      ["pawl tasks retry 42", "instead of waiting for its next attempt"],
      ["pawl tasks retry 42 43 --dry-run", "refused unless both can be retried"],
    ],
  ).option("--dry-run", "say what would happen, change nothing");
  return does<ManyOptions>(withAct(made), (call, options) => {
    const ids = distinct(call.args);
    return withStore(call, (store) => retryAll(store, ids, options));
  });
}

async function retryAll(store: Store, ids: string[], options: ManyOptions): Promise<Answer> {
  const { dryRun = false } = options;
  const found = await requireTasks(store, ids, {
    is: ({ state }) => state === "dead" || state === "scheduled",
    what: "dead letter or scheduled task",
  });
  const inState = (wanted: string) =>
    found.filter(({ state }) => state === wanted).map(({ id }) => id);
  const [dead, scheduled] = [inState("dead"), inState("scheduled")];
  const act = actOf(options);
  const back = dryRun || dead.length === 0 ? [] : await retryDead(store, dead, act);
  const moved =
    dryRun || scheduled.length === 0 ? [] : await moveTasks(store, scheduled, { ...act, inMs: 0 });
  const duplicates = idsWith(back, "duplicate");
  // what runs already is what was asked for
  const count = dryRun ? ids.length : back.length - duplicates.length + moved.length;
  return {
    json: { action: "retry", dryRun, count, ids, duplicates },
    text: `${dryRun ? "would retry" : "retried"} ${tasksText(count)}${duplicatesText(duplicates)}`,
  };
}

export function duplicatesText(ids: readonly string[]): string {
  if (ids.length === 0) return "";
  const stay = ids.length === 1 ? "1 stays dead" : `${ids.length} stay dead`;
  return `; ${stay}, since a live task has the same key: ${ids.slice(0, 20).join(", ")}${ids.length > 20 ? ", …" : ""}`;
}

interface RescheduleOptions extends Act {
  at?: Date;
  in?: number;
  priority?: number;
}

export function reschedule(): Command {
  const made = command("reschedule <id>", "Move a task that waits in time or priority", [
    ["pawl tasks reschedule 42 --at 2030-01-31T12:00:00Z", "not before then"],
    ["pawl tasks reschedule 42 --in 2h", "not before two hours from now"],
    ["pawl tasks reschedule 42 --priority 0", "before the others of its queue"],
  ])
    .option("--at <time>", "not before this time", isoTime("--at"))
    .option("--in <duration>", "not before this much from now", duration("--in", 0))
    .option("--priority <n>", "0 (first) to 3 (last)", wholeNumber("--priority", PRIORITY_MAX, 0));
  return does<RescheduleOptions>(withAct(made), (call, options) => {
    const id = taskId(call.args[0] ?? "");
    const { at, in: inMs, priority } = options;
    if (
      (at === undefined && inMs === undefined && priority === undefined) ||
      (at && inMs !== undefined)
    ) {
      throw new PawlError(
        "invalid_option",
        `pawl tasks reschedule: expected --at or --in, or --priority, or one of the two with it; got ${at ? "both --at and --in" : "none"}`,
      );
    }
    return withStore(call, (store) =>
      move(store, id, { ...actOf(options), runAt: at, inMs, priority }),
    );
  });
}

async function move(
  store: Store,
  id: string,
  to: Parameters<typeof moveTasks>[2],
): Promise<Answer> {
  await requireTasks(store, [id], {
    is: (task) => isLive(task) && task.state !== "running",
    what: "task that waits",
  });
  const [change] = await moveTasks(store, [id], to);
  const task = await findTask(store, id);
  // it started in between
  if (change?.outcome !== "changed")
    throw inOtherState(id, "task that waits", task?.state ?? "done");
  const now =
    task === undefined
      ? "moved"
      : `${task.state}, not before ${iso(task.run_at)}, priority ${task.priority}`;
  return { json: { action: "reschedule", task: task ?? null }, text: `task ${id}: ${now}` };
}

export function distinct(args: readonly string[]): string[] {
  return [...new Set(args.map(taskId))];
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
