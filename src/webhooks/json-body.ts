/** Bodies as text and as JSON. */

import { PawlError } from "../base/errors.ts";
import { WebhookRejected } from "./rejected.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** @throws PawlError `invalid_option` for what a parser has made of a body: the likely mistake of a receiver */
export function checkRaw(body: unknown): void {
  if (typeof body === "string" || body instanceof Uint8Array) return;
  throw new PawlError(
    "invalid_option",
    `verify: expected the body as it came, as text or bytes, got ${typeof body}; a signature is over the raw body, so verify before it is parsed`,
    { data: { option: "body" } },
  );
}

export function textOf(body: string | Uint8Array): string {
  if (typeof body === "string") return body;
  try {
    return utf8.decode(body);
  } catch (error) {
    throw new WebhookRejected("malformed", "webhook: the body is not UTF-8", error);
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
