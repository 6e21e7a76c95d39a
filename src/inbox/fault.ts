/** Which of the three kinds a fault of a source is: unsent, answered with an error, or unknown. */

import { PawlError, toError } from "../base/errors.ts";
import { ContractBroken, storableText } from "./contract.ts";
import type { WindowFault } from "./sql.ts";

const MESSAGE_CHARS_MAX = 2_000;
const CAUSES_MAX = 5;

/**
 * Whatever `request`, `fetch` or `open` threw. What says nothing of itself is unknown. Told by name: the app's config may
 * have been loaded with another copy of the package.
 */
export function faultOf(thrown: unknown): WindowFault {
  const error = toError(thrown);
  const { sent, retryAfterMs } = error as { sent?: unknown; retryAfterMs?: unknown };
  const base = {
    error: messageOf(error),
    nextCursor: error instanceof ContractBroken ? error.nextCursor : null,
    retryAfterMs: typeof retryAfterMs === "number" ? retryAfterMs : null,
  };
  if (error.name === "SourceAnswered" || error instanceof ContractBroken)
    return { ...base, fault: "answered" };
  if (error.name === "SourceUnavailable")
    return { ...base, fault: sent === "no" ? "unsent" : "unknown" };
  return { ...base, fault: isUnsent(error) ? "unsent" : "unknown" };
}

/** As the sender says in its errors. */
function isUnsent(error: Error): boolean {
  const { data } = error as { data?: { sent?: unknown } };
  return error.name === "PawlError" && data?.sent === "no";
}

/** What `parse` or the contract threw: the page is there, so nobody need ask again. */
export function faultOfPage(thrown: unknown): WindowFault {
  return { ...faultOf(thrown), fault: "answered" };
}

function messageOf(error: Error): string {
  const name =
    error.name === "Error" || /^(Source|Contract|Pawl)/.test(error.name) ? "" : `${error.name}: `;
  return storableText(`${lateness(error)}${name}${error.message}`.slice(0, MESSAGE_CHARS_MAX));
}

/** What was cut off at the source's deadline says only that it was cut off. */
function lateness(error: Error): string {
  let { cause } = error;
  for (let depth = 0; depth < CAUSES_MAX && cause instanceof Error; depth += 1) {
    if (cause instanceof PawlError && cause.code === "handler_timeout") return `${cause.message}: `;
    cause = cause.cause;
  }
  return "";
}
