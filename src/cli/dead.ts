/** `pawl dead`: look at dead letters, send them back to their queues, or give them up. */

import type { Command } from "commander";
import { PawlError } from "../base/errors.ts";
import {
  attemptsOf,
  countDead,
  type DeadSelection,
  dead,
  findTask,
  removeDead,
  retryDead,
} from "../kernel/people/sql.ts";
import type { Store } from "../store/store.ts";
import { command, does, withStore } from "./command.ts";
import { changeAll, changeOnly } from "./dead-change.ts";
import type { Answer } from "./output.ts";
import { iso, table } from "./table.ts";
import { taskText } from "./task-text.ts";
import { noTask, requireQueueAndKind } from "./tasks.ts";
import { taskId, wholeNumber } from "./values.ts";

const LIMIT_DEFAULT = 50;
const LIMIT_MAX = 10_000;

export function deadCommand(): Command {
  return command("dead", "Look at dead letters, retry or remove them")
    .addCommand(list())
    .addCommand(show())
    .addCommand(retry())
    .addCommand(remove());
}

function withFilters(made: Command): Command {
  return made
    .option("--kind <name>", "only of this kind")
    .option("--queue <name>", "only of this queue")
    .option("--error <text>", "only with this text in the error's message");
}

function list(): Command {
  const made = withFilters(
    command("list", "List dead letters, the latest death first", [
      ["pawl dead list --kind send-email", "those of a kind"],
      ['pawl dead list --error "timed out" --json', "those that died of a timeout"],
    ]),
  ).option("--limit <n>", "at most so many", wholeNumber("--limit", LIMIT_MAX), LIMIT_DEFAULT);
  return does<DeadSelection & { limit: number }>(made, (call, options) =>
    withStore(call, async (store) => {
      await requireQueueAndKind(store, options);
      const rows = await dead(store, options);
      const text = table(rows, [
        { head: "ID", value: (row) => row.id, align: "right" },
        { head: "QUEUE", value: (row) => row.queue },
        { head: "KIND", value: (row) => row.kind },
        { head: "REASON", value: (row) => row.reason },
        { head: "ATTEMPT", value: (row) => row.attempt, align: "right" },
        { head: "DIED", value: (row) => iso(row.died_at) },
        { head: "ERROR", value: (row) => row.error?.message },
      ]);
      return { json: { dead: rows }, text };
    }),
  );
}

function show(): Command {
  const made = command("show <id>", "Show a dead letter with its payload, error and attempts", [
    ["pawl dead show 42", "why it died, and what it was to do"],
  ]);
  return does(made, (call) => {
    const id = taskId(call.args[0] ?? "");
    return withStore(call, async (store) => {
      const task = await findTask(store, id);
      if (task === undefined) throw noTask(id);
      if (task.state !== "dead") throw notDead(id, task.state);
      const attempts = await attemptsOf(store, id);
      return { json: { task, attempts }, text: taskText(task, attempts) };
    });
  });
}

interface ChangeOptions extends DeadSelection {
  all?: boolean;
  dryRun?: boolean;
  yes?: boolean;
}

function retry(): Command {
  const made = command(
    "retry [ids...]",
    "Send dead letters back to their queues, with the same id and all attempts anew",
    [
      ["pawl dead retry 42 43", "these two; neither, unless both are dead"],
      ["pawl dead retry --all --kind send-email --dry-run", "how many that would be"],
      ['pawl dead retry --all --error "timed out"', "all that died of a timeout"],
    ],
  );
  return does<ChangeOptions>(withChangeOptions(made), (call, options) => {
    const ids = targets("retry", call.args, options);
    return withStore(call, (store) => change(store, { verb: "retry", ids, options }));
  });
}

function remove(): Command {
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
  return withFilters(made.option("--all", "all dead letters, or all that the filters find")).option(
    "--dry-run",
    "say what would happen, change nothing",
  );
}

/** The ids, or undefined for `--all`: one of them, and filters only with `--all`. */
function targets(
  verb: string,
  args: readonly string[],
  { all = false, kind, queue, error }: ChangeOptions,
): string[] | undefined {
  const isFiltered = kind !== undefined || queue !== undefined || error !== undefined;
  if (all && args.length === 0) return undefined;
  if (!all && args.length > 0 && !isFiltered) return [...new Set(args.map(taskId))];
  const fault = all
    ? "got both ids and --all"
    : isFiltered
      ? "got a filter without --all"
      : "got neither";
  throw new PawlError(
    "invalid_option",
    `pawl dead ${verb}: expected ids, or --all with or without filters; ${fault}; see \`pawl dead ${verb} --help\``,
  );
}

interface Change {
  verb: "retry" | "remove";
  ids: string[] | undefined;
  options: ChangeOptions;
}

async function change(store: Store, { verb, ids, options }: Change): Promise<Answer> {
  const { dryRun = false, yes = false, kind, queue, error } = options;
  const apply = (some: readonly string[]) =>
    verb === "retry" ? retryDead(store, some) : removeDead(store, some);
  if (ids !== undefined) {
    await requireDead(store, ids);
    const changed = dryRun ? ids : await changeOnly(ids, apply);
    return answer(verb, dryRun, changed.length, changed);
  }
  const selection = { kind, queue, error };
  await requireQueueAndKind(store, selection);
  const found = await countDead(store, selection);
  if (dryRun) return answer(verb, true, found.count);
  if (verb === "remove" && !yes && found.count > 0) {
    throw new PawlError(
      "invalid_option",
      `pawl dead remove --all: would remove ${found.count} dead letters; add --yes to do it, or --dry-run to look first`,
      { data: { option: "--yes", count: found.count } },
    );
  }
  return answer(verb, false, await changeAll(store, { selection, found, apply, verb }));
}

/** Nothing is half done: one id that is not dead, and none is touched. */
async function requireDead(store: Store, ids: readonly string[]): Promise<void> {
  const found = new Set((await dead(store, { ids, limit: ids.length })).map((row) => row.id));
  const missing = ids.find((id) => !found.has(id));
  if (missing === undefined) return;
  const task = await findTask(store, missing);
  throw task === undefined ? noTask(missing) : notDead(missing, task.state);
}

function notDead(id: string, state: string): PawlError {
  return new PawlError(
    "task_not_found",
    `task ${id}: is no dead letter, it is ${state}; see \`pawl tasks show ${id}\``,
    { data: { id, state } },
  );
}

function answer(
  verb: "retry" | "remove",
  dryRun: boolean,
  count: number,
  ids?: readonly string[],
): Answer {
  const done = verb === "retry" ? "retried" : "removed";
  const letters = count === 1 ? "dead letter" : "dead letters";
  const text = dryRun ? `would ${verb} ${count} ${letters}` : `${done} ${count} ${letters}`;
  return { json: { action: verb, dryRun, count, ...(ids !== undefined && { ids }) }, text };
}
