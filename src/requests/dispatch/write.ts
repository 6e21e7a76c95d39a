/** Sends a request: checked at the call, then written as a task, alone or in the caller's transaction. */

import { PawlError } from "../../base/errors.ts";
import { type JsonLimits, toJson } from "../../base/json.ts";
import { exactJson, RawJson } from "../../base/json-text.ts";
import { refuseUnknownOptions } from "../../base/options.ts";
import { register } from "../../kernel/sql.ts";
import type { TaskId } from "../../kernel/task.ts";
import type { QueueBehaviour } from "../../queue/queue-options.ts";
import type { SenderOptions } from "../../sender/sender.ts";
import type { Executor } from "../../store/executor.ts";
import type { Store } from "../../store/store.ts";
import {
  chosenTransaction,
  type InTransaction,
  inForeignTransaction,
} from "../../store/transaction.ts";
import type { KeyRing } from "./key-ring.ts";
import { requestsRow } from "./queue.ts";
import { type CheckedRequest, checkRequest, type RequestSpec } from "./spec.ts";
import { sendRequests } from "./sql.ts";

/** Whose requests they are. */
export interface RequestsOf {
  name: string;
  revision: number;
  maxPayloadBytes: number;
  http: SenderOptions;
  requests: { behaviour: QueueBehaviour; isDeclared: boolean };
}

export type SendRequest = (spec: RequestSpec, options?: InTransaction) => Promise<{ id: TaskId }>;

/** Checks a request and makes it what `pawl.send_v1` takes, as JSON text. Its queue is there afterwards. */
export type CheckRequest = (spec: RequestSpec) => Promise<string>;

export function requestChecker(app: RequestsOf, store: Store, keys: KeyRing): CheckRequest {
  let hasQueue: Promise<void> | undefined = app.requests.isDeclared ? Promise.resolve() : undefined;
  return async (spec) => {
    const checked = checkRequest(spec, app.http.allow ?? []);
    const request = taskJson(checked, app.maxPayloadBytes);
    if (checked.payload.jwt !== undefined) await keys.require(checked.payload.jwt.key);
    hasQueue ??= registerQueue(store, app).catch((error: unknown) => {
      hasQueue = undefined;
      throw error;
    });
    await hasQueue;
    return request;
  };
}

export function requestSender(app: RequestsOf, store: Store, keys: KeyRing): SendRequest {
  const check = requestChecker(app, store, keys);
  return async (spec, options = {}) => {
    refuseUnknownOptions("request", options, ["tx"]);
    const tx = chosenTransaction(options);
    const requests = `[${await check(spec)}]`;
    const write = async (executor: Executor, xid: string | null) =>
      (await sendRequests(executor, requests, xid))[0];
    const written = await (tx === undefined
      ? write(store, null)
      : inForeignTransaction(tx, store.render, write));
    if (written === undefined)
      throw new PawlError("database_error", "request: the database returned no row");
    return { id: written.id };
  };
}

/** A queue with limits makes claiming dearer for all: an app that never sends does not get one. */
async function registerQueue(store: Store, app: RequestsOf): Promise<void> {
  await register(store, {
    application: app.name,
    revision: app.revision,
    payload_bytes_max: app.maxPayloadBytes,
    queues: [requestsRow(app.requests.behaviour)],
    streams: [],
  });
}

function taskJson({ payload, tenant, runAt }: CheckedRequest, bytesMax: number): string {
  const what = `request to ${payload.host}`;
  const { expiresAtMs, expiresInMs } = payload;
  const fields = [
    `"payload":${payloadJson(payload, { what, bytesMax })}`,
    `"max_attempts":${payload.attempts}`,
    ...(expiresAtMs === undefined ? [] : [`"expires_at":"${new Date(expiresAtMs).toISOString()}"`]),
    ...(expiresInMs === undefined ? [] : [`"ttl_ms":${expiresInMs}`]),
    ...(runAt === undefined ? [] : [`"run_at":"${runAt.toISOString()}"`]),
    ...(tenant === undefined ? [] : [`"meta":${toJson({ tenant }, { what, bytesMax })}`]),
  ];
  return `{${fields.join(",")}}`;
}

/** Claims that are given as JSON's text are kept as it. */
function payloadJson(payload: CheckedRequest["payload"], limits: JsonLimits): string {
  const text = toJson(payload, limits);
  const claims = payload.jwt?.claims;
  if (!(claims instanceof RawJson)) return text;
  toJson(claims, limits);
  return exactJson(payload);
}
