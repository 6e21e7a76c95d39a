/** Headers that an app or an operator adds to requests, some of them secrets. No message shows a value. */

import { PawlError, shown } from "../base/errors.ts";
import { isSecretRef, readSecret, type SecretRef } from "../secrets/secret.ts";

const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** What RFC 9110 section 5.5 allows in a value; CR and LF would begin a new header. */
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
/** Headers of the connection and of the body, for every sender. */
const RESERVED = [
  "connection",
  "content-length",
  "expect",
  "host",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

export type HeaderValues = Record<string, string | SecretRef>;

/**
 * The same with names in lower case.
 *
 * @param where for messages: `webhook destination`
 * @param isReserved true for a name, in lower case, that Pawl itself sets there
 * @throws PawlError `invalid_option` naming the header
 */
export function checkedHeaders(
  where: string,
  headers: HeaderValues,
  isReserved: (name: string) => boolean,
): HeaderValues {
  const checked = new Map<string, string | SecretRef>();
  for (const [given, value] of Object.entries(headers)) {
    const name = given.toLowerCase();
    if (!HEADER_NAME.test(name)) throw badHeader(where, given, "is not the name of a header");
    if (RESERVED.includes(name) || isReserved(name))
      throw badHeader(where, given, "is set by Pawl and cannot be replaced; remove it");
    if (checked.has(name)) throw badHeader(where, given, "is given twice; keep one");
    checked.set(name, isSecretRef(value) ? value : headerValue(where, given, value));
  }
  return Object.fromEntries(checked);
}

/**
 * The values to send, those of references included.
 *
 * @param whose for messages of references: `webhook`
 * @throws PawlError `invalid_option`, `invalid_environment`
 */
export function readHeaders(
  where: string,
  headers: HeaderValues,
  whose: string,
): Record<string, string> {
  const entries = Object.entries(headers).map(
    ([name, value]) =>
      [name, headerValue(where, name, readSecret(value, `${whose} header "${name}"`))] as const,
  );
  return Object.fromEntries(entries);
}

function headerValue(where: string, name: string, value: unknown): string {
  if (typeof value !== "string")
    throw badHeader(where, name, 'has no text as value; use text or env("NAME")');
  if (HEADER_VALUE.test(value)) return value;
  const problem = "has a value with a line break or a character that headers cannot carry";
  throw badHeader(where, name, problem);
}

export function badHeader(where: string, name: string, problem: string): PawlError {
  return new PawlError("invalid_option", `${where}: the header ${shown(name)} ${problem}`, {
    data: { option: "headers", header: name },
  });
}
