/**
 * Sends a request that is judged by the status of its answer. What is wrong behind the status (a body that never
 * ends, breaks off or is no HTTP, headers that are too large) does not make what was accepted be sent again.
 */

import { BrokenAnswer } from "./http-fault.ts";
import type { HttpAnswer, HttpRequest, HttpSender } from "./sender.ts";

export interface StatusAnswer extends HttpAnswer {
  /** What was wrong with the rest of the answer, for people. */
  trouble?: string;
}

/** @throws as `HttpSender.send`, but only where no status came */
export async function sendForStatus(http: HttpSender, request: HttpRequest): Promise<StatusAnswer> {
  try {
    return await http.send(request);
  } catch (error) {
    if (!(error instanceof BrokenAnswer)) throw error;
    return { ...error.answer, trouble: error.trouble };
  }
}
