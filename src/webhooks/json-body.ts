/** Bodies as text and as JSON. */

import { charsetIn, decodeText } from "../base/charset.ts";
import { PawlError, toError } from "../base/errors.ts";
import { WebhookRejected } from "./rejected.ts";

/** @throws PawlError `invalid_option` for what a parser has made of a body: the likely mistake of a receiver */
export function checkRaw(body: unknown): void {
  if (typeof body === "string" || body instanceof Uint8Array) return;
  throw new PawlError(
    "invalid_option",
    `verify: expected the body as it came, as text or bytes, got ${typeof body}; a signature is over the raw body, so verify before it is parsed`,
    { data: { option: "body" } },
  );
}

/** Bytes are decoded as the content type says, else as UTF-8. @throws WebhookRejected for what is no such text */
export function textOf(body: string | Uint8Array, contentType: string | undefined): string {
  if (typeof body === "string") return body;
  try {
    return decodeText(body, charsetIn(contentType));
  } catch (error) {
    const what = `webhook: the body cannot be read: ${toError(error).message}`;
    throw new WebhookRejected("malformed", what, error);
  }
}

export function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not the parser's message: it quotes the body.
    throw new WebhookRejected("malformed", `${what}: the body is not JSON`);
  }
}
