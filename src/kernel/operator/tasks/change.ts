/** The verbs that change tasks which somebody names: `cancel`, `retry` and `reschedule`. */

import { DURATION_MS_MAX } from "../../../base/duration.ts";
import { PawlError } from "../../../base/errors.ts";
import { idsOrAll } from "../../../operate/ids-or-all.ts";
import type { Act } from "../../../operate/sql.ts";
import { iso } from "../../../operate/table.ts";
import { type Calling, type Desk, type Verb, verb } from "../../../operate/verb.ts";
import { required, typedAs, withDefault } from "../../../options/field.ts";
import { duration, flag, integer, name, numberId, time } from "../../../options/kinds.ts";
import { several } from "../../../options/parts.ts";
import type { Store } from "../../../store/store.ts";
import { retryDead } from "../dead/sql.ts";
import { dryRun } from "../fields.ts";
import {
  liveFilter,
  RETRIED_STATES,
  refuseEmpty,
  retriedFilter,
  type Selection,
} from "../filter.ts";
import { cancelTasks, findTask, moveTasks } from "../sql.ts";
import { inOtherState, isLive, requireTasks } from "./find.ts";
import { cancelAll, countToCancel, retryAll } from "./many.ts";
import type { Ended, Moved, Retried, Tasks } from "./tasks.ts";

const PRIORITY_MAX = 3;
const LIMIT_MAX = 100_000;
/** Ids that a line names. */
const NAMED_MAX = 20;
const INPUT = {
  ids: several(numberId("the tasks")),
  all: flag("all, or all that match the filters"),
  queue: name("only of this queue"),
  kind: name("only of this kind"),
  limit: withDefault(
    10_000,
    integer({ help: "with --all, the maximum number of tasks, the oldest first", max: LIMIT_MAX }),
  ),
  dryRun,
} as const;

export const cancel: Verb<Tasks["cancel"], Desk> = verb({
  help: "Cancel tasks: waiting ones end at once, running ones are asked to end",
  examples: [
    ['pawl tasks cancel 42 --why "ordered twice"', "wherever it waits or runs"],
    ["pawl tasks cancel 42 43 --dry-run", "what would be cancelled, and what asked"],
    ["pawl tasks cancel --all --filter 'kind:send-* age:>1d' --dry-run", "how many fit a filter"],
    ["pawl tasks cancel --all --queue mail --filter state:scheduled --yes", "all of them"],
  ],
  input: { ...INPUT, filter: liveFilter },
  args: ["ids"],
  changes: true,
  check: targets,
  confirm: async (desk, input, calling) => {
    if (input.dryRun === true || targets(input, calling) !== undefined) return undefined;
    const count = await countToCancel((await desk()).store, selectionOf(input));
    if (count === 0) return undefined;
    return {
      text: `pawl tasks cancel --all: would cancel ${tasksText(Math.min(count, input.limit))}; add --yes to do it, or --dry-run to look first`,
      data: { count },
    };
  },
  run: async (desk, input, act): Promise<Ended> => {
    const { store } = desk;
    const { dryRun: isDryRun = false, limit } = input;
    const ids = targets(input, act);
    const end = (found: readonly { id: string; state: string }[]) =>
      endTasks(store, found, { isDryRun, act });
    if (ids === undefined)
      return cancelAll(desk, { ...selectionOf(input), limit, isDryRun }, act, end);
    const found = await requireTasks(store, ids, { is: isLive, what: "live task" });
    return { dryRun: isDryRun, ...(await end(found)) };
  },
  json: (ended) => ({ action: "cancel", ...ended }),
  text: ({ dryRun: isDryRun, cancelled, requested, more }) => {
    const asked = isDryRun ? "would ask" : "asked";
    const parts = [
      `${isDryRun ? "would cancel" : "cancelled"} ${tasksText(cancelled.length)}`,
      ...(requested.length > 0 ? [`${asked} what runs to end: ${named(requested)}`] : []),
      ...moreText(more),
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
    ["pawl tasks retry --all --filter 'state:scheduled err:503'", "all that wait after a 503"],
  ],
  input: { ...INPUT, filter: retriedFilter },
  args: ["ids"],
  changes: true,
  check: targets,
  run: async (desk, input, act): Promise<Retried> => {
    const { store } = desk;
    const { dryRun: isDryRun = false, limit } = input;
    const ids = targets(input, act);
    const some = async (found: readonly { id: string; state: string }[]) =>
      isDryRun ? { count: found.length, duplicates: [] } : back(store, found, act);
    if (ids === undefined)
      return retryAll(desk, { ...selectionOf(input), limit, isDryRun }, act, some);
    const found = await requireTasks(store, ids, {
      is: ({ state }) => RETRIED_STATES.includes(state),
      what: "dead letter or scheduled task",
    });
    return { dryRun: isDryRun, ...(await some(found)), ids };
  },
  json: (retried) => ({ action: "retry", ...retried }),
  text: ({ dryRun: isDryRun, count, duplicates, more }) => {
    const done = `${isDryRun ? "would retry" : "retried"} ${tasksText(count)}${duplicatesText(duplicates)}`;
    return [done, ...moreText(more)].join("; ");
  },
});

type Input = { ids?: string[]; all?: boolean } & Selection;

function selectionOf({ queue, kind, filter }: Selection): Selection {
  return { queue, kind, filter };
}

function targets({ ids, all, ...input }: Input, calling: Calling): string[] | undefined {
  refuseEmpty(input.filter, calling);
  return idsOrAll({ ids, all, filters: { ...selectionOf(input) } }, calling);
}

function moreText(more = 0): string[] {
  return more === 0 ? [] : [`${more} more fit, beyond the limit`];
}

async function back(
  store: Store,
  found: readonly { id: string; state: string }[],
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
  return `; ${stay}, since a live task has the same key: ${named(ids)}`;
}

function named(ids: readonly string[]): string {
  return `${ids.slice(0, NAMED_MAX).join(", ")}${ids.length > NAMED_MAX ? ", …" : ""}`;
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
