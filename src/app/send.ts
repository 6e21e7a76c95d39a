/** Sends a request: checked at the call, then written as a task, alone or in the caller's transaction. */

import { PawlError } from "../base/errors.ts";
import { toJson } from "../base/json.ts";
import { refuseUnknownOptions } from "../base/options.ts";
import { register } from "../kernel/sql.ts";
import type { TaskId } from "../kernel/task.ts";
import type { KeyRing } from "../requests/dispatch/key-ring.ts";
import { type CheckedRequest, checkRequest, type RequestSpec } from "../requests/dispatch/spec.ts";
import { sendRequests } from "../requests/dispatch/sql.ts";
import type { Executor } from "../store/executor.ts";
import type { Store } from "../store/store.ts";
import { inForeignTransaction } from "../store/transaction.ts";
import type { App } from "./define-app.ts";
import { requestsRow } from "./register.ts";
import type { InTransaction } from "./write.ts";

export type SendRequest = (spec: RequestSpec, options?: InTransaction) => Promise<{ id: TaskId }>;

export function requestSender(app: App, store: Store, keys: KeyRing): SendRequest {
  let hasQueue: Promise<void> | undefined = app.requests.isDeclared ? Promise.resolve() : undefined;
  return async (spec, options = {}) => {
    refuseUnknownOptions("send", options, ["tx"]);
    const checked = checkRequest(spec, app.http.allow ?? []);
    const requests = `[${taskJson(checked, app.maxPayloadBytes)}]`;
    if (checked.payload.jwt !== undefined) await keys.require(checked.payload.jwt.key);
    hasQueue ??= registerQueue(store, app).catch((error: unknown) => {
      hasQueue = undefined;
      throw error;
    });
    await hasQueue;
    const write = async (executor: Executor, xid: string | null) =>
      (await sendRequests(executor, requests, xid))[0];
    const { tx } = options;
    const written = await (tx === undefined
      ? write(store, null)
      : inForeignTransaction(tx, store.render, write));
    if (written === undefined)
      throw new PawlError("database_error", "send: the database answered no row");
    return { id: written.id };
  };
}

/** A queue with limits makes claiming dearer for all: an app that never sends does not get one. */
async function registerQueue(store: Store, app: App): Promise<void> {
  await register(store, {
    application: app.name,
    revision: app.revision,
    payload_bytes_max: app.maxPayloadBytes,
    queues: [requestsRow(app)],
    streams: [],
  });
}

function taskJson({ payload, tenant, runAt }: CheckedRequest, bytesMax: number): string {
  const what = `request to ${payload.host}`;
  const { expiresAtMs, expiresInMs } = payload;
  const fields = [
    `"payload":${toJson(payload, { what, bytesMax })}`,
    `"max_attempts":${payload.attempts}`,
    ...(expiresAtMs === undefined ? [] : [`"expires_at":"${new Date(expiresAtMs).toISOString()}"`]),
    ...(expiresInMs === undefined ? [] : [`"ttl_ms":${expiresInMs}`]),
    ...(runAt === undefined ? [] : [`"run_at":"${runAt.toISOString()}"`]),
    ...(tenant === undefined ? [] : [`"meta":${toJson({ tenant }, { what, bytesMax })}`]),
  ];
  return `{${fields.join(",")}}`;
}
