/** Calls the outside world, and makes of each fault what the queue should do: wait, try again, or give up. */

import { Recoverable, Unrecoverable } from "pawl";

const TIMEOUT_MS = 60_000;

export interface CallOptions {
  signal: AbortSignal;
  body?: unknown;
  /** The other side does the work once for a key, however often it is called. */
  idempotencyKey?: string;
}

export async function call(
  path: string,
  { signal, body, idempotencyKey }: CallOptions,
): Promise<Response> {
  const response = await fetch(
    new URL(path, process.env.LEADS_WORLD_URL ?? "http://127.0.0.1:8790"),
    {
      method: body === undefined ? "GET" : "POST",
      headers: {
        "content-type": "application/json",
        ...(idempotencyKey !== undefined && { "idempotency-key": idempotencyKey }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    },
  );
  if (response.ok) return response;
  const fault = `${path}: ${response.status} ${await response.text()}`;
  if (response.status === 429) {
    // a limiter is no failure: the attempt does not count, and it waits as long as the limiter says
    throw new Recoverable(fault, { delay: `${response.headers.get("retry-after") ?? 1}s` });
  }
  if (response.status < 500) throw new Unrecoverable(fault);
  throw new Error(fault);
}

export async function callJson<T>(path: string, options: CallOptions): Promise<T> {
  return (await call(path, options)).json() as Promise<T>;
}
