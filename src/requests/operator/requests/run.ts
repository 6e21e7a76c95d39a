/** The verb `run`: makes one try of one request now, in this process. */

import { PawlError } from "../../../base/errors.ts";
import type { Logger } from "../../../base/log.ts";
import { groupsOf } from "../../../kernel/groups/sql.ts";
import { localSwitches } from "../../../kernel/local-switches.ts";
import type { Middleware } from "../../../kernel/middleware.ts";
import { findTask } from "../../../kernel/operator/sql.ts";
import { isLive } from "../../../kernel/operator/tasks/find.ts";
import { type RunOne, runOne } from "../../../kernel/run-one/run-one.ts";
import { recordAct } from "../../../operate/sql.ts";
import { iso } from "../../../operate/table.ts";
import { type Calling, type Verb, verb } from "../../../operate/verb.ts";
import { required } from "../../../options/field.ts";
import { numberId } from "../../../options/kinds.ts";
import type { HttpSender } from "../../../sender/sender.ts";
import type { Store } from "../../../store/store.ts";
import { requestHandler } from "../../dispatch/handler.ts";
import { keyRing } from "../../dispatch/key-ring.ts";
import { REQUESTS_QUEUE } from "../../dispatch/queue.ts";
import type { KeysDesk } from "../keys/keys.ts";
import type { Requests, SentRequest } from "./requests.ts";

const SCOPES = ["all", `queue:${REQUESTS_QUEUE}`];

export interface RunDesk extends KeysDesk {
  http: HttpSender;
  log: Logger;
  /** Of the app. */
  revision: number;
  maxPayloadBytes: number;
  use: readonly Middleware[];
  /** Runs what has to end when `stop` resolves: the process, or the client, comes to its end. */
  stoppable: <T>(work: (stop: Promise<void>) => Promise<T>) => Promise<T>;
}

const MORE = `Exit codes here:
  0  sent, and answered with a success code
  1  the try failed, and the request is tried again or its tries are used up; or it could not be made now
  2  there is no such request, or it has ended, has expired, or was answered with a stop code`;

export const run: Verb<Requests["run"], RunDesk> = verb({
  help: "Try one request now, even if it is not due",
  more: MORE,
  examples: [
    ["pawl requests run 42", "counts as an attempt; a worker would do the same when it is due"],
  ],
  input: { id: required(numberId("of the request")) },
  args: ["id"],
  needsApp: true,
  changes: true,
  run: (desk: RunDesk, { id }, act) => desk.stoppable((stop) => send(desk, id, { stop, act })),
  text: ({ id, summary }) => `request ${id}: sent, ${summary}`,
});

async function send(
  desk: RunDesk,
  id: string,
  { stop, act }: { stop: Promise<void>; act: Calling },
): Promise<SentRequest> {
  const { store, http, log } = desk;
  const task = await findTask(store, id);
  if (task?.queue !== REQUESTS_QUEUE) throw unknown(id);
  if (!isLive(task)) throw over(id, `it is ${task.reason ?? task.state} already`);
  const here = localSwitches(process.env, [], await groupsOf(store));
  const off = (await here.read()).find((one) => SCOPES.includes(one));
  if (off !== undefined) throw notSent(id, `"${off}" is off on this host`);
  // before: a try that this process has begun must not be missing when it dies
  await recordAct(store, { ...act, target: `task:${id}` });
  const keys = keyRing(store, desk.keys, desk.refuseSecrets);
  const did = await runOne(id, {
    store,
    handler: { ...requestHandler({ executor: store, http, keys }), kind: task.kind },
    use: desk.use,
    application: desk.application ?? "",
    revision: desk.revision,
    resultBytesMax: desk.maxPayloadBytes,
    log,
    stop,
  });
  return sentOf(store, id, did);
}

/** @throws PawlError `request_over`, `request_not_sent` unless it was sent */
async function sentOf(store: Store, id: string, did: RunOne): Promise<SentRequest> {
  if (did.did === "stop") throw notSent(id, "this process was stopped, and it was given back");
  if (did.did === "nothing") throw nothingDone(id, did.why);
  const task = await findTask(store, id);
  const attempt = task?.attempt ?? 0;
  if (did.outcome.ok) {
    const { summary } = JSON.parse(did.outcome.result ?? "{}") as { summary?: string };
    return { id, sent: true, attempt, summary: summary ?? null };
  }
  const message = did.outcome.error?.message ?? "it has expired, and was not sent";
  if (task?.state === "dead" && task.reason !== "attempts") throw over(id, message);
  if (task?.state === "cancelled") throw over(id, "it was stopped by a person");
  const next =
    task?.state === "scheduled"
      ? `; the next try is at ${iso(task.runAt)}`
      : "; its tries are used up";
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
