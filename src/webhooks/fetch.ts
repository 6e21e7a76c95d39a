/** Handlers of fetch: Hono, Next.js, SvelteKit, Bun, Deno, Node. */

import { PawlError } from "../base/errors.ts";
import { maxBytesOf, type ReceiveOptions, tooLarge } from "./receive.ts";
import { rejectedBody, WebhookRejected } from "./rejected.ts";
import type { Verifier } from "./verifier.ts";

/**
 * Reads the body, up to `maxBytes`, and verifies it.
 *
 * @throws WebhookRejected, which `rejectedResponse` turns into an answer; PawlError `invalid_option` if the body was read
 * before
 */
export async function verifyFetch<Verified>(
  request: Request,
  verifier: Verifier<Verified>,
  options: ReceiveOptions = {},
): Promise<Verified> {
  const maxBytes = maxBytesOf("verifyFetch", options);
  return verifier.verify(await readBody(request, maxBytes), request.headers);
}

/** Returns the answer to a refused call. @throws any other error again */
export function rejectedResponse(error: unknown): Response {
  if (!(error instanceof WebhookRejected)) throw error;
  const headers = { "content-type": "application/json" };
  return new Response(rejectedBody(error), { status: error.status, headers });
}

async function readBody(request: Request, maxBytes: number): Promise<Uint8Array> {
  if (request.bodyUsed) throw alreadyRead();
  if (request.body === null) return new Uint8Array(0);
  const reader = request.body.getReader();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for (let part = await next(reader); part !== undefined; part = await next(reader)) {
    bytes += part.byteLength;
    if (bytes > maxBytes) {
      discard(reader).catch(() => undefined);
      throw tooLarge(maxBytes);
    }
    chunks.push(part);
  }
  return Buffer.concat(chunks);
}

/** As it comes: on Node cancelling closes the connection, or leaves it stuck, and may destroy the answer on its way. */
async function discard(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  try {
    while (!(await reader.read()).done);
  } catch {
    // it ended in the middle
  }
}

async function next(
  reader: ReadableStreamDefaultReader<Uint8Array>,
): Promise<Uint8Array | undefined> {
  try {
    return (await reader.read()).value;
  } catch (error) {
    throw new WebhookRejected("malformed", "webhook: the connection ended before the body", error);
  }
}

function alreadyRead(): PawlError {
  return new PawlError(
    "invalid_option",
    "webhook: the body was already read, and its signature is over the raw bytes; call verifyFetch first, or give it request.clone()",
    { data: { option: "body" } },
  );
}
