/** `pawl tasks`: look at tasks, change those that live, and see which message goes to which handler and queue. */

import type { Command } from "commander";
import type { App } from "../app/define-app.ts";
import {
  attemptsOf,
  findTask,
  type KindRow,
  kinds,
  queueNames,
  type TaskState,
  tasks,
} from "../kernel/people/sql.ts";
import { whyTask } from "../kernel/people/why.ts";
import { DELIVERY_KIND } from "../outbox/routes.ts";
import type { Store } from "../store/store.ts";
import { command, does, withStore } from "./command.ts";
import { iso, table } from "./table.ts";
import { isLive, noTask } from "./task-state.ts";
import { taskText } from "./task-text.ts";
import { cancel, reschedule, retry } from "./tasks-change.ts";
import { oneOf, requireKnown, taskId, wholeNumber } from "./values.ts";

const LIMIT_DEFAULT = 50;
const LIMIT_MAX = 10_000;
const STATES: readonly TaskState[] = [
  "ready",
  "scheduled",
  "waiting",
  "running",
  "dead",
  "done",
  "cancelled",
  "expired",
  "removed",
];

export function tasksCommand(): Command {
  return command("tasks", "Look at tasks, cancel, retry and reschedule them")
    .addCommand(list())
    .addCommand(show())
    .addCommand(kindsCommand())
    .addCommand(cancel())
    .addCommand(retry())
    .addCommand(reschedule());
}

interface ListOptions {
  state?: TaskState;
  queue?: string;
  kind?: string;
  limit: number;
}

function list(): Command {
  const made = command("list", "List tasks, the newest first; without --state, the live ones", [
    ["pawl tasks list --state running", "what runs now, on any machine"],
    ["pawl tasks list --queue high --kind send-email --limit 10", "ten of a kind"],
  ])
    .option("--state <state>", STATES.join(", "), oneOf("--state", STATES))
    .option("--queue <name>", "only of this queue")
    .option("--kind <name>", "only of this kind")
    .option("--limit <n>", "at most so many", wholeNumber("--limit", LIMIT_MAX), LIMIT_DEFAULT);
  return does<ListOptions>(made, (call, options) =>
    withStore(call, async (store) => {
      await requireQueueAndKind(store, options);
      const rows = await tasks(store, options);
      const text = table(rows, [
        { head: "ID", value: (row) => row.id, align: "right" },
        { head: "STATE", value: (row) => row.state },
        { head: "QUEUE", value: (row) => row.queue },
        { head: "KIND", value: (row) => row.kind },
        { head: "ATTEMPT", value: (row) => row.attempt, align: "right" },
        { head: "RUN AT", value: (row) => iso(row.run_at) },
        { head: "ENDED", value: (row) => iso(row.ended_at) },
        { head: "ERROR", value: (row) => row.error?.message },
      ]);
      return { json: { tasks: rows }, text };
    }),
  );
}

/** A name that nobody defined would only ever find nothing. */
export async function requireQueueAndKind(
  store: Store,
  { queue, kind }: { queue?: string | undefined; kind?: string | undefined },
): Promise<void> {
  if (queue !== undefined) requireKnown("unknown_queue", queue, await queueNames(store));
  if (kind === undefined) return;
  const known = new Set((await kinds(store)).map((row) => row.kind));
  requireKnown("unknown_kind", kind, [...known]);
}

function show(): Command {
  const made = command("show <id>", "Show a task with its payload, result, error and attempts", [
    ["pawl tasks show 42", "wherever it is: live, dead or in history"],
  ]);
  return does(made, (call) => {
    const id = taskId(call.args[0] ?? "");
    return withStore(call, async (store) => {
      const task = await findTask(store, id);
      if (task === undefined) throw noTask(id);
      const attempts = await attemptsOf(store, id);
      const why = isLive(task) ? (await whyTask(store, id))?.line : undefined;
      return { json: { task, attempts, why: why ?? null }, text: taskText(task, attempts, why) };
    });
  });
}

type HandledKind = KindRow & { handler: string | null };

function kindsCommand(): Command {
  const made = command(
    "kinds",
    "List message, handler and queue; the handlers are those of the config, if there is one",
    [["pawl tasks kinds", "also shows how many live workers take each kind"]],
  );
  return does(made, async (call) => {
    const app = await call.app();
    const rows = await withStore({ ...call, app: async () => app }, kinds);
    const handled = withHandlers(rows, app);
    const text = table(handled, [
      { head: "MESSAGE", value: (row) => row.kind },
      { head: "HANDLER", value: (row) => row.handler },
      { head: "QUEUE", value: (row) => row.queue },
      { head: "APP", value: (row) => row.application },
      { head: "WORKERS", value: (row) => row.workers, align: "right" },
    ]);
    return { json: { kinds: handled }, text };
  });
}

/** What the database knows, then what only the config has yet. */
function withHandlers(rows: readonly KindRow[], app: App | undefined): HandledKind[] {
  const unseen = new Map(handlersOf(app).map((one) => [`${one.queue} ${one.kind}`, one]));
  const known = rows.map((row) => {
    const key = `${row.queue} ${row.kind}`;
    const handler = unseen.get(key)?.handler ?? null;
    unseen.delete(key);
    return { ...row, handler };
  });
  const application = app?.name ?? null;
  const fresh = { version: 1, application, defined_at: null, workers: 0 };
  return [...known, ...[...unseen.values()].map((one) => ({ ...one, ...fresh }))];
}

function handlersOf(app: App | undefined): { kind: string; queue: string; handler: string }[] {
  if (app === undefined) return [];
  return [
    ...app.jobs.map(({ name, queue }) => ({ kind: name, queue, handler: `job ${name}` })),
    ...app.destinations.map(({ name, queue, definition }) => ({
      kind: DELIVERY_KIND,
      queue,
      handler: `${definition.type} ${name}`,
    })),
  ];
}
