/** `pawl dead retry` and `remove`: by id, or all that the filters find. */

import type { Command } from "commander";
import { PawlError } from "../base/errors.ts";
import type { Act } from "../kernel/people/audit/sql.ts";
import {
  countDead,
  type DeadSelection,
  dead,
  removeDead,
  retryDead,
} from "../kernel/people/dead/sql.ts";
import { findTask } from "../kernel/people/sql.ts";
import type { Store } from "../store/store.ts";
import { actOf, withAct } from "./act.ts";
import { command, does, withStore } from "./command.ts";
import { type Changed, changeAll, changeOnly } from "./dead-batches.ts";
import { isFiltered, selectionOf, withFilters } from "./dead-filters.ts";
import type { Answer } from "./output.ts";
import { inOtherState, noTask } from "./task-state.ts";
import { requireQueueAndKind } from "./tasks.ts";
import { duplicatesText } from "./tasks-change.ts";
import { taskId } from "./values.ts";

type Verb = "retry" | "remove";

interface ChangeOptions extends DeadSelection, Act {
  all?: boolean;
  dryRun?: boolean;
  yes?: boolean;
}

export function retry(): Command {
  const made = command(
    "retry [ids...]",
    "Send dead letters back to their queues, with the same id and all attempts anew",
    [
      ["pawl dead retry 42 43", "these two; neither, unless both are dead"],
      ["pawl dead retry --all --kind send-email --dry-run", "how many that would be"],
      ['pawl dead retry --all --error "timed out"', "all that died of a timeout"],
      ["pawl dead retry --all --lane order-7", "and the lane goes on behind it"],
    ],
  );
  return does<ChangeOptions>(withChangeOptions(made), (call, options) => {
    const ids = targets("retry", call.args, options);
    return withStore(call, (store) => change(store, { verb: "retry", ids, options }));
  });
}

export function remove(): Command {
  const made = command("remove [ids...]", "Give dead letters up: they go to history as removed", [
    ["pawl dead remove 42", "this one"],
    ["pawl dead remove --all --kind send-email --dry-run", "how many that would be"],
    ["pawl dead remove --all --kind send-email --yes", "all of a kind"],
  ]).option("--yes", "needed with --all: nobody asks again");
  return does<ChangeOptions>(withChangeOptions(made), (call, options) => {
    const ids = targets("remove", call.args, options);
    return withStore(call, (store) => change(store, { verb: "remove", ids, options }));
  });
}

function withChangeOptions(made: Command): Command {
  const all = made.option("--all", "all dead letters, or all that the filters find");
  return withAct(withFilters(all).option("--dry-run", "say what would happen, change nothing"));
}

/** The ids, or undefined for `--all`: one of them, and filters only with `--all`. */
function targets(
  verb: Verb,
  args: readonly string[],
  options: ChangeOptions,
): string[] | undefined {
  const { all = false } = options;
  const hasFilter = isFiltered(options);
  if (all && args.length === 0) return undefined;
  if (!all && args.length > 0 && !hasFilter) return [...new Set(args.map(taskId))];
  const fault = all
    ? "got both ids and --all"
    : hasFilter
      ? "got a filter without --all"
      : "got neither";
  throw new PawlError(
    "invalid_option",
    `pawl dead ${verb}: expected ids, or --all with or without filters; ${fault}; see \`pawl dead ${verb} --help\``,
  );
}

interface Change {
  verb: Verb;
  ids: string[] | undefined;
  options: ChangeOptions;
}

async function change(store: Store, { verb, ids, options }: Change): Promise<Answer> {
  const { dryRun = false, yes = false } = options;
  const act = actOf(options);
  const apply = (some: readonly string[]) =>
    verb === "retry" ? retryDead(store, some, act) : removeDead(store, some, act);
  if (ids !== undefined) {
    await requireDead(store, ids);
    if (dryRun) return would(verb, ids.length, ids);
    return did(verb, await changeOnly(ids, apply), true);
  }
  const selection = selectionOf(options);
  await requireQueueAndKind(store, selection);
  const found = await countDead(store, selection);
  if (dryRun) return would(verb, found.count);
  if (verb === "remove" && !yes && found.count > 0) {
    throw new PawlError(
      "invalid_option",
      `pawl dead remove --all: would remove ${found.count} dead letters; add --yes to do it, or --dry-run to look first`,
      { data: { option: "--yes", count: found.count } },
    );
  }
  return did(verb, await changeAll(store, { selection, found, apply, verb }), false);
}

/** Nothing is half done: one id that is not dead, and none is touched. */
async function requireDead(store: Store, ids: readonly string[]): Promise<void> {
  const found = new Set((await dead(store, { ids, limit: ids.length })).map((row) => row.id));
  const missing = ids.find((id) => !found.has(id));
  if (missing === undefined) return;
  const task = await findTask(store, missing);
  throw task === undefined ? noTask(missing) : inOtherState(missing, "dead letter", task.state);
}

function would(verb: Verb, count: number, ids?: readonly string[]): Answer {
  return {
    json: { action: verb, dryRun: true, count, ...(ids !== undefined && { ids }) },
    text: `would ${verb} ${letters(count)}`,
  };
}

function did(verb: Verb, { ids, duplicates }: Changed, areIdsShown: boolean): Answer {
  const count = ids.length;
  return {
    json: {
      action: verb,
      dryRun: false,
      count,
      ...(areIdsShown && { ids }),
      ...(verb === "retry" && { duplicates }),
    },
    text: `${verb === "retry" ? "retried" : "removed"} ${letters(count)}${duplicatesText(duplicates)}`,
  };
}

function letters(count: number): string {
  return `${count} ${count === 1 ? "dead letter" : "dead letters"}`;
}
