/**
 * Runs the task of a request: one try. Faults of our own (a key that is missing, a variable that is not set) use up
 * no attempt; whatever the receiver or the network does is a failed one.
 */

import { PawlError } from "../../base/errors.ts";
import { RawJson, textAt, textIfSame } from "../../base/json-text.ts";
import { messageOf } from "../../base/thrown.ts";
import { VERSION } from "../../base/version.ts";
import { InvalidPayload, type StreamHandler, type TaskContext } from "../../kernel/task.ts";
import { Recoverable } from "../../kernel/thrown.ts";
import { sendForStatus } from "../../sender/by-status.ts";
import type { HttpSender } from "../../sender/sender.ts";
import type { Executor } from "../../store/executor.ts";
import { signForSending } from "../keys/index.ts";
import { envelope } from "./envelope.ts";
import { failedTry, judge, type RequestSuccess } from "./judge.ts";
import type { KeyRing } from "./key-ring.ts";
import { type RequestPayload, readPayload } from "./payload.ts";
import { REQUEST_KIND_PREFIX, REQUESTS_QUEUE } from "./queue.ts";
import { REQUEST_TIMEOUT_MS_MAX } from "./spec.ts";
import { expiryOf } from "./sql.ts";

/** Over the request's own deadline, so that its error, which says more, comes first. */
const TIMEOUT_MARGIN_MS = 5_000;
/** A receiver that has not answered by then is taken for one that hangs. */
const SLOW_MS = 5_000;
/** What is ours to repair is looked at again so soon. */
const OWN_FAULT_DELAY_MS = { min: 1_000, max: 60_000 };
const OWN_FAULTS: ReadonlySet<string> = new Set(["invalid_environment", "invalid_option"]);

export interface RequestHandlerOptions {
  executor: Executor;
  http: HttpSender;
  keys: KeyRing;
}

export function requestHandler(options: RequestHandlerOptions): StreamHandler {
  return {
    queue: REQUESTS_QUEUE,
    kind: `${REQUEST_KIND_PREFIX}*`,
    version: 1,
    timeoutMs: REQUEST_TIMEOUT_MS_MAX + TIMEOUT_MARGIN_MS,
    slowMs: SLOW_MS,
    run: (payload, context) => tryOnce(readPayload(payload), context, options),
  };
}

async function tryOnce(
  request: RequestPayload,
  context: TaskContext,
  options: RequestHandlerOptions,
): Promise<RequestSuccess> {
  const expiresAtMs = await expiryNow(request, context, options.executor).catch(
    (thrown: unknown) => {
      throw thrown instanceof Recoverable ? thrown : ownFault(thrown, request);
    },
  );
  const { token: body, sendByMs } = await bodyOf(request, context, { ...options, expiresAtMs });
  try {
    const answer = await sendForStatus(options.http, {
      url: request.url,
      method: request.method,
      headers: headersOf(request),
      body: request.envelope ? envelope(body, request, context) : body,
      timeoutMs: request.timeoutMs,
      ...(sendByMs !== undefined && { sendByMs }),
      signal: context.signal,
    });
    return judge(answer, request);
  } catch (thrown) {
    if (!(thrown instanceof PawlError) || thrown.data.retryAfterMs !== undefined) throw thrown;
    if (OWN_FAULTS.has(thrown.code)) throw ownFault(thrown, request);
    if (thrown.data.stop === true) throw thrown;
    throw failedTry(thrown, request);
  }
}

function headersOf({
  id,
  envelope: isWrapped,
  contentType,
}: RequestPayload): Record<string, string> {
  const type = isWrapped ? "application/json" : contentType;
  return {
    "user-agent": `pawl/${VERSION}`,
    "idempotency-key": id,
    ...(type !== undefined && { "content-type": type }),
  };
}

/**
 * Milliseconds since 1970; undefined: never. What the database claims has not expired by its clock. This host's clock
 * may say otherwise, and so may a dead letter that was retried: then the database knows.
 *
 * @throws Recoverable when it has expired since: the kernel ends it as that
 */
async function expiryNow(
  request: RequestPayload,
  { createdAt, taskId }: TaskContext,
  executor: Executor,
): Promise<number | undefined> {
  const { expiresAtMs, expiresInMs } = request;
  if (expiresAtMs === undefined && expiresInMs === undefined) return undefined;
  const plannedMs = expiresAtMs ?? createdAt.getTime() + (expiresInMs ?? 0);
  if (plannedMs > Date.now()) return plannedMs;
  const stored = await expiryOf(executor, taskId);
  if (stored?.isOver !== true) return stored?.expiresAt?.getTime();
  throw expired();
}

/** The next time lies after the expiry, so this is the end. */
function expired(): Recoverable {
  return new Recoverable("expired before it was sent", { delay: OWN_FAULT_DELAY_MS.min });
}

async function bodyOf(
  request: RequestPayload,
  context: TaskContext,
  { keys, expiresAtMs }: { keys: KeyRing; expiresAtMs: number | undefined },
): Promise<{ token: string; sendByMs?: number }> {
  const { jwt, body = "", id } = request;
  if (jwt === undefined) return { token: body };
  try {
    const key = await keys.find(jwt.key);
    if (key === undefined) throw missingKey(jwt.key);
    return await signForSending({
      claims: await storedClaims(jwt.claims, context),
      key,
      jti: id,
      ...(jwt.ttlMs !== undefined && { ttlMs: jwt.ttlMs }),
      ...(expiresAtMs !== undefined && { expiresAtMs }),
    });
  } catch (thrown) {
    if (thrown instanceof PawlError && thrown.data.option === "ttlMs") throw expired();
    if (thrown instanceof PawlError && thrown.message.startsWith("jwt:"))
      throw new InvalidPayload(thrown.message, { cause: thrown }); // its claims
    context.log.warn({ err: messageOf(thrown) }, "a request could not be signed");
    throw ownFault(thrown, request);
  }
}

/** As they are stored: a claim such as 9007199254740993 has more digits than JavaScript's numbers hold. */
async function storedClaims<Claims>(
  claims: Claims,
  { payloadText }: TaskContext,
): Promise<Claims | RawJson> {
  const text = textIfSame(claims, textAt(await payloadText(), ["jwt", "claims"]));
  return text === undefined ? claims : new RawJson(text);
}

function missingKey(name: string): PawlError {
  return new PawlError(
    "invalid_environment",
    `no key "${name}" to sign with; define it in \`keys\` of the app that works, or add it with \`pawl keys add ${name}\``,
    { data: { key: name } },
  );
}

function ownFault(thrown: unknown, { intervalMs }: RequestPayload): Recoverable {
  const { min, max } = OWN_FAULT_DELAY_MS;
  const delay = Math.min(Math.max(intervalMs, min), max);
  return new Recoverable(messageOf(thrown), { cause: thrown, delay });
}
