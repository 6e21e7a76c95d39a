/** `pawl requests run`: makes one try of one request now, in this process, and says in its exit code how it ended. */

import type { Command } from "commander";
import { openDatabase } from "../app/database.ts";
import type { App } from "../app/define-app.ts";
import { PawlError } from "../base/errors.ts";
import { localSwitches } from "../control/local-switches.ts";
import { findTask } from "../kernel/people/sql.ts";
import { type RunOne, runOne } from "../kernel/run-one/run-one.ts";
import { requestHandler } from "../requests/dispatch/handler.ts";
import { keyRing } from "../requests/dispatch/key-ring.ts";
import { REQUESTS_QUEUE } from "../requests/dispatch/queue.ts";
import { openSender } from "../requests/sender.ts";
import type { Store } from "../store/store.ts";
import { type Call, command, does, requireApp } from "./command.ts";
import type { Answer } from "./output.ts";
import { stopSignals } from "./signals.ts";
import { iso } from "./table.ts";
import { isLive } from "./task-state.ts";
import { taskId } from "./values.ts";

/** What asks, what beats, what the handler looks up. */
const CONNECTIONS = 4;
const SCOPES = ["all", `queue:${REQUESTS_QUEUE}`];

const AFTER_HELP = `
Exit codes here:
  0  sent, and answered with a success code
  1  the try failed, and the request is tried again or its tries are spent; or it could not be made now
  2  there is no such request, or it has ended, has expired, or was answered with a stop code`;

export function runCommand(): Command {
  const made = command("run <id>", "Make one try of one request now, due or not", [
    ["pawl requests run 42", "counts as an attempt; a worker would do the same when it is due"],
  ]).addHelpText("after", AFTER_HELP);
  return does(made, async (call) => {
    const id = taskId(call.args[0] ?? "");
    const app = await requireApp(call);
    const { schema } = app;
    const database = await openDatabase({ schema, connections: CONNECTIONS, log: call.log });
    try {
      return await run(call, { app, store: database.store, id });
    } finally {
      await database.close();
    }
  });
}

interface Run {
  app: App;
  store: Store;
  id: string;
}

async function run({ log }: Call, { app, store, id }: Run): Promise<Answer> {
  const task = await findTask(store, id);
  if (task?.queue !== REQUESTS_QUEUE) throw unknown(id);
  if (!isLive(task)) throw over(id, `it is ${task.reason ?? task.state} already`);
  const off = (await localSwitches().read()).find((one) => SCOPES.includes(one));
  if (off !== undefined) throw notSent(id, `"${off}" is off on this host`);
  const http = openSender(app.http);
  try {
    const handler = requestHandler({ executor: store, http, keys: keyRing(store, app.keys) });
    const did = await runOne(id, {
      store,
      queue: REQUESTS_QUEUE,
      handler,
      application: app.name,
      revision: app.revision,
      resultBytesMax: app.maxPayloadBytes,
      log,
      stop: stopSignals(log),
    });
    return await answerOf(store, id, did);
  } finally {
    await http.close();
  }
}

/** @throws PawlError `request_over`, `request_not_sent` unless it was sent */
async function answerOf(store: Store, id: string, did: RunOne): Promise<Answer> {
  if (did.did === "stop") throw notSent(id, "this process was stopped, and it was given back");
  if (did.did === "nothing") throw nothingDone(id, did.why);
  const task = await findTask(store, id);
  const attempt = task?.attempt ?? 0;
  if (did.outcome.ok) {
    const { summary } = JSON.parse(did.outcome.result ?? "{}") as { summary?: string };
    return { json: { id, sent: true, attempt, summary }, text: `request ${id}: sent, ${summary}` };
  }
  const message = did.outcome.error?.message ?? "it has expired, and was not sent";
  if (task?.state === "dead" && task.reason !== "attempts") throw over(id, message);
  if (task?.state === "cancelled") throw over(id, "it was stopped by a person");
  const next =
    task?.state === "scheduled"
      ? `; the next try is at ${iso(task.run_at)}`
      : "; its tries are spent";
  throw notSent(id, `${message}${next}`);
}

function nothingDone(id: string, why: Extract<RunOne, { did: "nothing" }>["why"]): PawlError {
  if (why === undefined) return over(id, "it has ended in the meantime");
  if (why.outcome === "running") return notSent(id, "a worker is sending it right now");
  if (why.outcome === "busy") return notSent(id, "its limits are in use all the time; try again");
  const { reason = "the gate", until } = why.detail ?? {};
  const end = until === undefined || until === null ? "" : ` until ${until}`;
  return notSent(id, `it is held (${reason})${end}; see \`pawl why ${id}\``);
}

function unknown(id: string): PawlError {
  return new PawlError(
    "request_over",
    `request ${id}: there is none of this id; see \`pawl requests list\``,
    { data: { id } },
  );
}

function over(id: string, why: string): PawlError {
  return new PawlError("request_over", `request ${id}: ${why}; see \`pawl requests show ${id}\``, {
    data: { id },
  });
}

function notSent(id: string, why: string): PawlError {
  return new PawlError("request_not_sent", `request ${id}: ${why}`, { data: { id } });
}
