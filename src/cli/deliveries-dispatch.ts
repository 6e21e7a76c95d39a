/** `pawl deliveries dispatch`: one batch now, in this process; `rescue`: gives back what dead workers left. */

import { setTimeout as wait } from "node:timers/promises";
import type { Command } from "commander";
import { openDatabase } from "../app/database.ts";
import type { App } from "../app/define-app.ts";
import { registerApp } from "../app/register.ts";
import { startWork } from "../app/work.ts";
import { PawlError } from "../base/errors.ts";
import { rescue } from "../kernel/sql.ts";
import { countByStatus } from "../outbox/replay/sql.ts";
import { destinationIds, operatorsDestinations } from "../outbox/sql.ts";
import { openSender } from "../requests/sender.ts";
import type { Store } from "../store/store.ts";
import { type Call, command, does, requireApp, withStore } from "./command.ts";
import type { Answer } from "./output.ts";
import { stopSignals } from "./signals.ts";
import { table } from "./table.ts";
import { nameList, requireKnown, wholeNumber } from "./values.ts";

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 10_000;
const CONCURRENCY = 20;
/** As the API's default. */
const CONNECTIONS = 10;
const IDLE_LOOK_MS = 50;

interface Options {
  limit: number;
  destination?: string[];
}

export function dispatchCommand(): Command {
  const made = command("dispatch", "Route and deliver one batch now, in this process", [
    ["pawl deliveries dispatch", "up to 100 deliveries, to every destination"],
    ["pawl deliveries dispatch --destination erp --limit 1", "try one"],
  ])
    .option("--limit <n>", "at most so many", wholeNumber("--limit", LIMIT_MAX), LIMIT_DEFAULT)
    .option("--destination <names>", "only to these: erp,crm", nameList("--destination"));
  return does<Options>(made, dispatch);
}

async function dispatch(call: Call, options: Options): Promise<Answer> {
  const { log } = call;
  const app = await requireApp(call);
  const { schema } = app;
  const database = await openDatabase({ schema, connections: CONNECTIONS, log });
  try {
    await registerApp(database.store, app);
    const lines = await linesOf(database.store, app, options.destination);
    return await deliverBatch(call, { app, store: database.store, lines, limit: options.limit });
  } finally {
    await database.close();
  }
}

/** The queue of a destination, and the kind of its deliveries. */
interface Line {
  name: string;
  queue: string;
}

/** Those that this process can deliver to: the app's own, and those that operators made of types that it knows. */
async function linesOf(store: Store, app: App, wanted: string[] | undefined): Promise<Line[]> {
  const types = app.destinationTypes.map((one) => one.type);
  const lines = [
    ...app.destinations.map(({ name, queue }) => ({ name, queue })),
    ...(await operatorsDestinations(store))
      .filter((one) => types.includes(one.type))
      .map(({ name, queue }) => ({ name, queue })),
  ];
  const known = (await destinationIds(store)).map((row) => row.name);
  for (const name of wanted ?? []) {
    requireKnown("unknown_destination", name, known);
    if (lines.some((one) => one.name === name)) continue;
    throw new PawlError(
      "unknown_destination",
      `destination "${name}": the code of app "${app.name}" cannot deliver to it; run the command with the config of the app that defines it`,
    );
  }
  const chosen = lines.filter((one) => wanted?.includes(one.name) ?? true);
  if (chosen.length > 0) return chosen;
  throw new PawlError(
    "unknown_destination",
    `app "${app.name}" has no destination; define one, or add it with \`pawl destinations add\``,
  );
}

interface Batch {
  app: App;
  store: Store;
  lines: readonly Line[];
  limit: number;
}

async function deliverBatch({ log }: Call, { app, store, lines, limit }: Batch): Promise<Answer> {
  const http = openSender(app.http);
  const ids = new Set<string>();
  const over = new AbortController();
  const signal = stopSignals(log);
  try {
    const queues = lines.map((one) => one.queue);
    const worker = await startWork(
      { store, app, http, log, delivering: (id) => ids.add(id) },
      { queues, limit, concurrency: Math.min(limit, CONCURRENCY) },
    );
    const isWorkLeft = () => worker.isWorkLeft(0);
    const idle = untilIdle(() => worker.isIdle, isWorkLeft, over.signal);
    try {
      await Promise.race([worker.stopWanted, signal, idle]);
    } finally {
      over.abort();
      await worker.stop();
    }
    await idle;
  } finally {
    await http.close();
  }
  return answerOf(await countByStatus(store, [...ids]));
}

async function untilIdle(
  isIdle: () => boolean,
  isWorkLeft: () => Promise<boolean>,
  over: AbortSignal,
): Promise<void> {
  while (!over.aborted) {
    if (isIdle() && !(await isWorkLeft())) return;
    await wait(IDLE_LOOK_MS);
  }
}

function answerOf(rows: Awaited<ReturnType<typeof countByStatus>>): Answer {
  const sum = rows.reduce((total, row) => total + row.count, 0);
  const text = table(rows, [
    { head: "DESTINATION", value: (row) => row.destination },
    { head: "STATUS", value: (row) => row.status },
    { head: "DELIVERIES", value: (row) => row.count, align: "right" },
  ]);
  return {
    json: { dispatched: sum, destinations: rows },
    text: sum === 0 ? "nothing to deliver" : text,
  };
}

export function rescueCommand(): Command {
  const made = command(
    "rescue",
    "Give back now what workers left whose lease ran out; live workers do it by themselves",
    [["pawl deliveries rescue", "when no worker runs that would do it"]],
  );
  return does(made, (call) => withStore(call, rescueAll));
}

async function rescueAll(store: Store): Promise<Answer> {
  const workers: { worker: number; tasks: number }[] = [];
  for (;;) {
    const [one] = await rescue(store);
    if (one === undefined) break;
    workers.push({ worker: one.worker_id, tasks: one.tasks });
  }
  const rescued = workers.reduce((sum, one) => sum + one.tasks, 0);
  const text = `rescued ${counted(rescued, "task")} of ${counted(workers.length, "worker")}`;
  return {
    json: { rescued, workers },
    text: workers.length === 0 ? "no worker's lease has run out" : text,
  };
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
