/**
 * A promise that nobody waits for would end the process when it rejects. Whoever starts such work gives it an owner:
 * `unheard` here, or a `catch` of its own; the linter refuses a bare `void`.
 */

import { read } from "./thrown.ts";

/**
 * Runs what is not waited for; `failed` hears what it throws or rejects with, and is itself heard by nobody. What it
 * answers may be any thenable: foreign code has promises of its own.
 */
export function unheard(
  work: () => unknown,
  failed: (error: unknown) => void = () => undefined,
): void {
  const fail = (error: unknown) => {
    try {
      failed(error);
    } catch {
      // there is nobody else to tell
    }
  };
  try {
    const answer = work();
    if (typeof read(answer, "then") === "function") Promise.resolve(answer).catch(fail);
  } catch (error) {
    fail(error);
  }
}
