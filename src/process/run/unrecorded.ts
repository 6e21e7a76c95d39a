/** Ends that the database does not take: until when they are tried again, and what they come to. */

import { PawlError } from "../../base/errors.ts";
import { isA } from "../../base/thrown.ts";
import { Unrecoverable } from "../../kernel/thrown.ts";
import { isDataFault, isPassing } from "../../store/sqlstate.ts";
import type { StepOutcome } from "../sql.ts";

/** So long what does not pass by itself is tried again, such as a right that is missing: somebody may be mending it. */
export const LASTING_MS = 60_000;

/**
 * Asked about each refusal of an end in turn: true if the database may take it yet. While the database is away there is no limit,
 * and that time does not count for what lasts.
 */
export function patience(lastingMs: number): (error: PawlError) => boolean {
  let sinceMs: number | undefined;
  return (error) => {
    if (isPassing(error)) {
      sinceMs = undefined;
      return true;
    }
    sinceMs ??= performance.now();
    return isLasting(error) && !isDataFault(error) && performance.now() - sinceMs < lastingMs;
  };
}

function isLasting({ code }: PawlError): boolean {
  return code === "database_error" || code === "database_permission" || code === "schema_missing";
}

const DONE: ReadonlySet<StepOutcome> = new Set(["done", "skipped", "ended"]);

/** What the step is to fail with: it was done, so that no other attempt makes anything better. Other errors pass as they are. */
export function unrecorded(thrown: unknown, what: string, outcome: StepOutcome): unknown {
  if (!isA(thrown, PawlError) || !isLasting(thrown) || !DONE.has(outcome)) return thrown;
  return new Unrecoverable(
    `${what} has run, but its end cannot be recorded: ${thrown.message}; mend that, and \`pawl processes complete\` this one`,
    { cause: thrown },
  );
}
