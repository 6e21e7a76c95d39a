/** The verb `requests show`: one request, its attempt tracker, and every try with what came back. */

import type { ErrorJson } from "../../../base/error-json.ts";
import { PawlError } from "../../../base/errors.ts";
import { indentedJson } from "../../../base/json-indent.ts";
import { RawJson, textAt } from "../../../base/json-text.ts";
import { MASK, maskText, maskUrl } from "../../../base/mask.ts";
import { maskContent } from "../../../base/mask-json.ts";
import {
  type AttemptRow,
  attemptsOf,
  findTask,
  type TaskDetail,
} from "../../../kernel/operator/sql.ts";
import { isLive } from "../../../kernel/operator/tasks/find.ts";
import { whyTask } from "../../../kernel/operator/why.ts";
import { fields, iso, sections, table } from "../../../operate/table.ts";
import { type Desk, type Verb, verb } from "../../../operate/verb.ts";
import { required } from "../../../options/field.ts";
import { numberId } from "../../../options/kinds.ts";
import type { Store } from "../../../store/store.ts";
import type { RequestPayload } from "../../dispatch/payload.ts";
import { REQUESTS_QUEUE } from "../../dispatch/queue.ts";
import { stateText } from "./change.ts";
import type { RequestDetail, Requests, RequestTry, ShownRequest } from "./requests.ts";

const BODY_CHARS_MAX = 500;
/** Header, claims, signature. */
const JWT = /^([\w-]+\.[\w-]+)\.[\w-]+$/;

export const show: Verb<Requests["show"], Desk> = verb({
  help: "Show a request, its attempts and the answer",
  examples: [["pawl requests show 42", "wherever it is: waiting, dead or in history"]],
  input: { id: required(numberId("the request")) },
  args: ["id"],
  absent: "task_not_found",
  run: async ({ store }, { id }): Promise<ShownRequest> => {
    const task = await requireRequest(store, id);
    const tries = triesOf(task, await attemptsOf(store, id));
    const why = isLive(task) ? (await whyTask(store, id))?.line : undefined;
    return { request: detailOf(task, tries, why ?? null), tries };
  },
  json: ({ request, tries }) => ({ request: masked(request), tries }),
  text: ({ request, tries }) => requestText(masked(request), tries),
});

/** @throws PawlError `task_not_found` */
async function requireRequest(store: Store, id: string): Promise<TaskDetail> {
  const task = await findTask(store, id);
  if (task?.queue === REQUESTS_QUEUE) return task;
  throw new PawlError(
    "task_not_found",
    `request ${id}: not there, neither live, dead nor finished; see \`pawl requests list\``,
    { data: { id } },
  );
}

/** The last one lies with the request itself, once it has ended. */
function triesOf(task: TaskDetail, earlier: readonly AttemptRow[]): RequestTry[] {
  const tries = earlier.map((row) => tryOf({ ...row, at: row.startedAt, seen: row.error?.data }));
  const hasEnded = task.state === "dead" || task.state === "done";
  if (!hasEnded || task.startedAt === null) return tries;
  const seen = task.state === "done" ? task.result : task.error?.data;
  const outcome = task.state === "done" ? "sent" : (task.reason ?? "dead");
  return [...tries, tryOf({ ...task, at: task.startedAt, outcome, seen })];
}

function tryOf(row: {
  attempt: number;
  outcome: string;
  workerId: string | null;
  at: Date | null;
  error: ErrorJson | null;
  seen: unknown;
}): RequestTry {
  const seen = (row.seen ?? {}) as Record<string, unknown>;
  const body = seen.body ?? seen.response;
  return {
    attempt: row.attempt,
    outcome: row.outcome,
    workerId: row.workerId,
    at: row.at,
    durationMs: typeof seen.durationMs === "number" ? seen.durationMs : null,
    status: typeof seen.status === "number" ? seen.status : null,
    message: typeof seen.summary === "string" ? seen.summary : (row.error?.message ?? null),
    headers: (seen.headers as Record<string, string> | undefined) ?? null,
    body: typeof body === "string" ? body : null,
  };
}

function detailOf(
  task: TaskDetail,
  tries: readonly RequestTry[],
  why: string | null,
): RequestDetail {
  const payload = task.payload as RequestPayload;
  const tenant = (task.meta?.tenant ?? {}) as { company?: string; plugin?: string };
  const last = tries.at(-1);
  return {
    id: task.id,
    state: task.state,
    reason: task.reason,
    method: payload.method,
    url: payload.url,
    company: tenant.company ?? null,
    plugin: tenant.plugin ?? null,
    success: payload.success,
    stop: payload.stop,
    createdAt: task.createdAt,
    nextAt: task.state === "scheduled" ? task.runAt : null,
    expiresAt: task.expiresAt,
    endedAt: task.endedAt,
    idempotencyKey: payload.id,
    timeoutMs: payload.timeoutMs,
    attempt: {
      number: task.attempt,
      limit: payload.attempts,
      intervalMs: payload.intervalMs,
      lastAt: last?.at ?? null,
      lastStatus: last?.status ?? null,
      lastMessage: last?.message ?? task.error?.message ?? null,
    },
    body: payload.jwt === undefined ? (payload.body ?? "") : null,
    jwt:
      payload.jwt === undefined ? null : new RawJson(textAt(task.payloadText, ["jwt"]) ?? "null"),
    why,
  };
}

/** Whoever reads it must not be able to use it. */
function masked(request: RequestDetail): RequestDetail {
  const { url, body, jwt } = request;
  return {
    ...request,
    url: maskUrl(url),
    body: body === null ? null : shownBody(body),
    jwt: jwt === null ? null : new RawJson(maskContent(jwt.text)),
  };
}

/** What is formed as a token without its signature. */
function shownBody(body: string): string {
  const unsigned = JWT.exec(body.trim())?.[1];
  const text = maskText(unsigned === undefined ? body : `${unsigned}.${MASK}`);
  return text.length > BODY_CHARS_MAX ? `${text.slice(0, BODY_CHARS_MAX)}…` : text;
}

function requestText(request: RequestDetail, tries: readonly RequestTry[]): string {
  const { attempt } = request;
  const last = tries.findLast((one) => one.headers !== null || one.body !== null);
  return sections({
    "": fields({
      id: request.id,
      status: stateText(request),
      why: request.why,
      request: `${request.method} ${request.url}`,
      company: request.company,
      plugin: request.plugin,
      success: request.success.join(", "),
      stop: request.stop.join(", "),
      attempt: `${attempt.number} of ${attempt.limit}, every ${attempt.intervalMs / 1_000} s`,
      last: [iso(attempt.lastAt), attempt.lastMessage].filter(Boolean).join(" "),
      created: iso(request.createdAt),
      next: iso(request.nextAt),
      expires: iso(request.expiresAt),
      ended: iso(request.endedAt),
      "idempotency key": request.idempotencyKey,
    }),
    body: request.jwt === null ? (request.body ?? undefined) : undefined,
    "jwt, signed at each try": request.jwt === null ? undefined : indentedJson(request.jwt.text),
    attempts: tries.length === 0 ? undefined : triesText(tries),
    "headers of the last answer": last?.headers == null ? undefined : fields(last.headers),
    "body of the last answer": last?.body ?? undefined,
  });
}

function triesText(tries: readonly RequestTry[]): string {
  return table(tries, [
    { head: "ATTEMPT", value: (row) => row.attempt, align: "right" },
    { head: "AT", value: (row) => iso(row.at) },
    { head: "WORKER", value: (row) => row.workerId, align: "right" },
    { head: "OUTCOME", value: (row) => row.outcome },
    { head: "ANSWER", value: (row) => row.status, align: "right" },
    { head: "MS", value: (row) => row.durationMs, align: "right" },
    { head: "MESSAGE", value: (row) => row.message },
  ]);
}
