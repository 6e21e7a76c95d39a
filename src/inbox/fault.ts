/** Which of the three kinds a fault of a source is: unsent, answered with an error, or unknown. */

import { boundedWaitMs } from "../base/duration.ts";
import { PawlError, toError } from "../base/errors.ts";
import { isA, messageOf, read, storable } from "../base/thrown.ts";
import { ContractBroken } from "./contract.ts";
import type { WindowFault } from "./sql.ts";

const MESSAGE_CHARS_MAX = 2_000;
const CAUSES_MAX = 5;

/**
 * Classifies what `request`, `fetch` or `open` threw; by default it is unknown. Recognized by name: the app's config may
 * have been loaded with another copy of the package.
 */
export function faultOf(thrown: unknown): WindowFault {
  const error = toError(thrown);
  const [sent, isBusy] = [read(thrown, "sent"), read(thrown, "isBusy")];
  const base = {
    error: textOf(thrown, error),
    nextCursor: isA(thrown, ContractBroken) ? thrown.nextCursor : null,
    retryAfterMs: boundedWaitMs(read(thrown, "retryAfterMs")) ?? null,
  };
  if (error.name === "SourceAnswered" || isA(thrown, ContractBroken))
    return { ...base, fault: isBusy === true ? "busy" : "answered" };
  if (error.name === "SourceUnavailable")
    return { ...base, fault: sent === "no" ? "unsent" : "unknown" };
  return { ...base, fault: isUnsent(thrown) ? "unsent" : "unknown" };
}

/** The kinds that the sender's errors name. */
function isUnsent(thrown: unknown): boolean {
  return read(thrown, "name") === "PawlError" && read(read(thrown, "data"), "sent") === "no";
}

/** Classifies what `parse` or the contract threw: the page is stored, so no new request is needed. */
export function faultOfPage(thrown: unknown): WindowFault {
  return { ...faultOf(thrown), fault: "answered" };
}

function textOf(thrown: unknown, error: Error): string {
  const name =
    error.name === "Error" || /^(Source|Contract|Pawl)/.test(error.name) ? "" : `${error.name}: `;
  return storable(`${lateness(thrown)}${name}${messageOf(thrown)}`, MESSAGE_CHARS_MAX);
}

/** The error of a request that was cut off at the source's deadline does not name the deadline: this text does. */
function lateness(thrown: unknown): string {
  let cause = read(thrown, "cause");
  for (let depth = 0; depth < CAUSES_MAX && cause !== undefined; depth += 1) {
    if (isA(cause, PawlError) && cause.code === "handler_timeout") return `${messageOf(cause)}: `;
    cause = read(cause, "cause");
  }
  return "";
}
