/** `pawl requests show`: one request, its attempt tracker, and every try with what came back. */

import type { Command } from "commander";
import { PawlError } from "../base/errors.ts";
import type { ErrorJson } from "../base/json.ts";
import { type AttemptRow, attemptsOf, findTask, type TaskDetail } from "../kernel/people/sql.ts";
import { whyTask } from "../kernel/people/why.ts";
import type { RequestPayload } from "../requests/dispatch/payload.ts";
import { REQUESTS_QUEUE } from "../requests/dispatch/queue.ts";
import { maskUrl } from "../requests/mask-url.ts";
import type { Store } from "../store/store.ts";
import { command, does, withStore } from "./command.ts";
import { fields, iso, sections, table } from "./table.ts";
import { isLive } from "./task-state.ts";
import { pretty } from "./task-text.ts";
import { taskId } from "./values.ts";

const BODY_CHARS_MAX = 500;
/** Header, claims, signature. */
const JWT = /^([\w-]+\.[\w-]+)\.[\w-]+$/;

/** One try, as far as something is known of it. */
interface Try {
  attempt: number;
  outcome: string;
  worker: number | null;
  at: Date | null;
  durationMs: number | null;
  status: number | null;
  message: string | null;
  headers: Record<string, string> | null;
  body: string | null;
}

export function showCommand(): Command {
  const made = command("show <id>", "Show a request, its attempts and what came back", [
    ["pawl requests show 42", "wherever it is: waiting, dead or in history"],
  ]);
  return does(made, (call) => {
    const id = taskId(call.args[0] ?? "");
    return withStore(call, async (store) => {
      const task = await requireRequest(store, id);
      const tries = triesOf(task, await attemptsOf(store, id));
      const why = isLive(task) ? (await whyTask(store, id))?.line : undefined;
      const request = shownRequest(task, tries);
      return {
        json: { request: { ...request, why: why ?? null }, tries },
        text: requestText(request, tries, why),
      };
    });
  });
}

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
function triesOf(task: TaskDetail, earlier: readonly AttemptRow[]): Try[] {
  const tries = earlier.map((row) => tryOf({ ...row, at: row.started_at, seen: row.error?.data }));
  const hasEnded = task.state === "dead" || task.state === "done";
  if (!hasEnded || task.started_at === null) return tries;
  const seen = task.state === "done" ? task.result : task.error?.data;
  const outcome = task.state === "done" ? "sent" : (task.reason ?? "dead");
  return [...tries, tryOf({ ...task, at: task.started_at, outcome, seen })];
}

function tryOf(row: {
  attempt: number;
  outcome: string;
  worker_id: number | null;
  at: Date | null;
  error: ErrorJson | null;
  seen: unknown;
}): Try {
  const seen = (row.seen ?? {}) as Record<string, unknown>;
  const body = seen.body ?? seen.response;
  return {
    attempt: row.attempt,
    outcome: row.outcome,
    worker: row.worker_id,
    at: row.at,
    durationMs: typeof seen.durationMs === "number" ? seen.durationMs : null,
    status: typeof seen.status === "number" ? seen.status : null,
    message: typeof seen.summary === "string" ? seen.summary : (row.error?.message ?? null),
    headers: (seen.headers as Record<string, string> | undefined) ?? null,
    body: typeof body === "string" ? body : null,
  };
}

type ShownRequest = ReturnType<typeof shownRequest>;

function shownRequest(task: TaskDetail, tries: readonly Try[]) {
  const payload = task.payload as RequestPayload;
  const tenant = (task.meta?.tenant ?? {}) as { company?: string; plugin?: string };
  const last = tries.at(-1);
  return {
    id: task.id,
    state: task.state,
    reason: task.reason,
    method: payload.method,
    url: maskUrl(payload.url),
    company: tenant.company ?? null,
    plugin: tenant.plugin ?? null,
    success: payload.success,
    stop: payload.stop,
    createdAt: task.created_at,
    nextAt: task.state === "scheduled" ? task.run_at : null,
    expiresAt: task.expires_at,
    endedAt: task.ended_at,
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
    body: payload.jwt === undefined ? shownBody(payload.body ?? "") : null,
    jwt: payload.jwt ?? null,
  };
}

/** Without the signature: whoever reads it must not be able to use it. */
function shownBody(body: string): string {
  const unsigned = JWT.exec(body.trim())?.[1];
  const text = unsigned === undefined ? body : `${unsigned}.***`;
  return text.length > BODY_CHARS_MAX ? `${text.slice(0, BODY_CHARS_MAX)}…` : text;
}

function requestText(request: ShownRequest, tries: readonly Try[], why?: string): string {
  const { attempt } = request;
  const last = tries.findLast((one) => one.headers !== null || one.body !== null);
  return sections({
    "": fields({
      id: request.id,
      status: request.reason === null ? request.state : `${request.state} (${request.reason})`,
      why,
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
    "jwt, signed at each try": request.jwt === null ? undefined : pretty(request.jwt),
    attempts: tries.length === 0 ? undefined : triesText(tries),
    "headers of the last answer": last?.headers == null ? undefined : fields(last.headers),
    "body of the last answer": last?.body ?? undefined,
  });
}

function triesText(tries: readonly Try[]): string {
  return table(tries, [
    { head: "ATTEMPT", value: (row) => row.attempt, align: "right" },
    { head: "AT", value: (row) => iso(row.at) },
    { head: "WORKER", value: (row) => row.worker, align: "right" },
    { head: "OUTCOME", value: (row) => row.outcome },
    { head: "ANSWER", value: (row) => row.status, align: "right" },
    { head: "MS", value: (row) => row.durationMs, align: "right" },
    { head: "MESSAGE", value: (row) => row.message },
  ]);
}
