/** Headers as Node, a framework or fetch gives them, read by name in any case. */

import { PawlError } from "../base/errors.ts";
import { WebhookRejected } from "./rejected.ts";

/** Node's `req.headers`, a plain object, or the `Headers` of fetch. */
export type IncomingHeaders =
  | { get(name: string): string | null }
  | Readonly<Record<string, string | readonly string[] | undefined>>;

/** The one value of a header that must be there. @throws WebhookRejected `missing_header`, `malformed` */
export function oneHeader(headers: IncomingHeaders, name: string): string {
  const values = valuesOf(headers, name);
  const [value] = values;
  if (value === undefined || value === "") {
    throw new WebhookRejected("missing_header", `webhook: the header ${name} is missing`);
  }
  if (values.length === 1) return value;
  throw new WebhookRejected("malformed", `webhook: the header ${name} was sent more than once`);
}

/** Where it says something at all: anybody may leave it out. */
export function contentTypeOf(headers: IncomingHeaders | undefined): string | undefined {
  return headers === undefined ? undefined : valuesOf(headers, "content-type")[0];
}

function valuesOf(headers: IncomingHeaders, name: string): readonly string[] {
  if (typeof headers !== "object" || headers === null) {
    throw new PawlError(
      "invalid_option",
      `verify: expected the headers of the request, got ${headers === null ? "null" : typeof headers}`,
      { data: { option: "headers" } },
    );
  }
  if (isFetchHeaders(headers)) {
    const value = headers.get(name);
    return value === null ? [] : [value];
  }
  return Object.entries(headers)
    .filter(([key]) => key.toLowerCase() === name)
    .flatMap(([, value]) => value ?? []);
}

function isFetchHeaders(headers: IncomingHeaders): headers is { get(name: string): string | null } {
  return typeof headers.get === "function";
}
