/** Which of the three kinds a fault of a source is: unsent, answered with an error, or unknown. */

import { PawlError, toError } from "../base/errors.ts";
import { ContractBroken } from "./contract.ts";
import { SourceAnswered, SourceUnavailable } from "./source.ts";
import type { WindowFault } from "./sql.ts";

const MESSAGE_CHARS_MAX = 2_000;

/** Whatever `request`, `fetch` or `open` threw. What says nothing of itself is unknown. */
export function faultOf(thrown: unknown): WindowFault {
  const error = toError(thrown);
  const base = { error: messageOf(error), nextCursor: null, retryAfterMs: null };
  if (error instanceof SourceUnavailable) {
    const fault = error.sent === "no" ? ("unsent" as const) : ("unknown" as const);
    return { ...base, fault, retryAfterMs: error.retryAfterMs ?? null };
  }
  if (error instanceof ContractBroken)
    return { ...base, fault: "answered", nextCursor: error.nextCursor };
  if (error instanceof SourceAnswered)
    return { ...base, fault: "answered", retryAfterMs: error.retryAfterMs ?? null };
  const { sent } = error instanceof PawlError ? error.data : {};
  return { ...base, fault: sent === "no" ? "unsent" : "unknown" };
}

/** What `parse` or the contract threw: the page is there, so nobody need ask again. */
export function faultOfPage(thrown: unknown): WindowFault {
  return { ...faultOf(thrown), fault: "answered" };
}

function messageOf(error: Error): string {
  const name =
    error.name === "Error" || /^(Source|Contract|Pawl)/.test(error.name) ? "" : `${error.name}: `;
  return `${name}${error.message}`
    .slice(0, MESSAGE_CHARS_MAX)
    .toWellFormed()
    .replaceAll("\0", "\\0");
}
