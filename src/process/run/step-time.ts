/** The time limit of one attempt of a step. */

import { PawlError } from "../../base/errors.ts";
import { following } from "../../base/in-time.ts";

/** What `work` answers, or an error after `ms`, at once; its signal aborts then, and when `outer` does. */
export async function inStepTime<T>(
  ms: number,
  outer: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const deadline = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = new PawlError(
        "handler_timeout",
        `the step did not end within ${ms} ms; raise its timeout, or make it obey context.signal`,
        { data: { timeoutMs: ms } },
      );
      deadline.abort(error);
      reject(error);
    }, ms);
  });
  try {
    return await following([deadline.signal, outer], (signal) =>
      Promise.race([work(signal), tooLate]),
    );
  } finally {
    clearTimeout(timer);
  }
}
