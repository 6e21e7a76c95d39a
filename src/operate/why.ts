/** What `pawl why <id>` can be asked about. A part says which ids are its own, and why the thing with that id does not move. */

import type { Executor } from "../store/executor.ts";

export interface WhyTarget<Found extends object = object> {
  /** "a source" */
  readonly what: string;
  /** "source:<name>" */
  readonly id: string;
  readonly example: readonly [line: string, what: string];
  /** Returns the id as the part knows it; undefined for that of something else. */
  idOf(given: unknown): string | undefined;
  /** What `why` returns is about a task: each part may say more about it. */
  readonly isTask?: true;
  /** @throws PawlError for what is not there */
  why(executor: Executor, id: string): Promise<Found>;
  /** For people. */
  text(found: Found): string;
}

/** Reads ids of the form `<kind>:<name>`. */
export function nameAfter(kind: string): (given: unknown) => string | undefined {
  const prefix = `${kind}:`;
  return (given) =>
    typeof given === "string" && given.startsWith(prefix) ? given.slice(prefix.length) : undefined;
}
