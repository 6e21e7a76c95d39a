/**
 * Judges how a try ended, in this order: expired (asked before it is sent), success, stop, retry. The interval is given
 * to the kernel as what the receiver asks for, a lower bound, so that its own `Retry-After` can make it longer.
 */

import { PawlError } from "../../base/errors.ts";
import { maskUrl } from "../../base/mask.ts";
import type { StatusAnswer } from "../../sender/by-status.ts";
import { excerpt } from "../../sender/excerpt.ts";
import { maskHeaders } from "../../sender/mask-headers.ts";
import { parseRetryAfter } from "../../sender/retry-after.ts";
import { ARCHIVED, includesStatus } from "./codes.ts";
import type { RequestPayload } from "./payload.ts";

/** What is kept of an answer: together less than the 8,000 bytes that an attempt may keep. */
const BODY_CHARS_MAX = 1_500;
const HEADERS_BYTES_MAX = 2_500;
/** Of the answers 4xx those that say something about the receiver, not about this one request. */
const RECEIVER_TROUBLE: ReadonlySet<number> = new Set([401, 403, 404, 408, 425, 429]);

export interface RequestSuccess {
  /** As in "202 in 31 ms". */
  summary: string;
  status: number;
  durationMs: number;
  headers: Record<string, string>;
  response: string;
  /** What was wrong with the answer behind its status. */
  trouble?: string;
}

export type Verdict = "success" | "stop" | "retry";

export function verdictOf(
  status: number,
  { success, stop }: Pick<RequestPayload, "success" | "stop">,
): Verdict {
  if (includesStatus(success, status)) return "success";
  return includesStatus(stop, status) ? "stop" : "retry";
}

/** @throws PawlError `http_failed`: to be retried, or with `data.stop` */
export function judge(answer: StatusAnswer, request: RequestPayload): RequestSuccess {
  const { status, durationMs, trouble } = answer;
  const response = excerpt(answer.body, BODY_CHARS_MAX);
  const seen = {
    status,
    durationMs,
    headers: keptHeaders(answer.headers),
    ...(trouble !== undefined && { trouble }),
  };
  const after = trouble === undefined ? "" : `; then ${trouble}`;
  const verdict = verdictOf(status, request);
  if (verdict === "success") {
    return { summary: `${status} in ${durationMs} ms${after}`, ...seen, response };
  }
  throw new PawlError(
    "http_failed",
    `${request.method} ${maskUrl(request.url)}: ${explain(status, verdict, request)}${after}`,
    {
      data: {
        ...seen,
        body: response,
        ...(verdict === "stop" ? { stop: true } : wait(answer, request)),
        ...(isAboutTheRequest(status) && { isReceiverUp: true }),
      },
    },
  );
}

/** A try without an answer, with all that the sender knows of it. */
export function failedTry(fault: PawlError, { intervalMs }: RequestPayload): PawlError {
  const timings = fault.data.timings as { totalMs?: number } | undefined;
  const durationMs = timings?.totalMs;
  return new PawlError(fault.code, fault.message, {
    data: {
      ...fault.data,
      ...(durationMs !== undefined && { durationMs }),
      retryAfterMs: intervalMs,
    },
    cause: fault.cause,
  });
}

function wait(answer: StatusAnswer, { intervalMs }: RequestPayload): Record<string, number> {
  const asked = parseRetryAfter(answer.headers["retry-after"]);
  // RFC 6585 section 4, RFC 9110 section 15.6.4: they are about the receiver as a whole
  const isPause = answer.status === 429 || answer.status === 503;
  return {
    retryAfterMs: Math.max(intervalMs, asked ?? 0),
    ...(asked !== undefined && isPause && { pauseMs: asked }),
  };
}

function isAboutTheRequest(status: number): boolean {
  return status >= 400 && status <= 499 && !RECEIVER_TROUBLE.has(status);
}

function explain(status: number, verdict: Verdict, { success }: RequestPayload): string {
  if (verdict === "stop") {
    const why = status === ARCHIVED ? ": the receiver has archived us" : "";
    return `answered the stop code ${status}${why}`;
  }
  if (status >= 300 && status <= 399) {
    return `answered ${status}: redirects are not followed; send to where it leads`;
  }
  return `answered ${status}, expected ${success.join(", ")}`;
}

function keptHeaders(headers: Record<string, string>): Record<string, string> {
  const kept: Record<string, string> = {};
  let bytes = 0;
  for (const [name, value] of Object.entries(maskHeaders(headers))) {
    bytes += Buffer.byteLength(JSON.stringify([name, value]));
    if (bytes > HEADERS_BYTES_MAX) return { ...kept, "…": "more" };
    kept[name] = value;
  }
  return kept;
}
