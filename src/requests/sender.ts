/**
 * Sends one HTTP request over connections that are shared, kept alive and bounded per origin: one total
 * deadline over connect, TLS, headers and body; no redirects; an answer of bounded size.
 */

import { Agent } from "undici";
import { TIMER_MS_MAX } from "../base/duration.ts";
import { PawlError, shown } from "../base/errors.ts";
import { Exchange, type HttpAnswer, type HttpRequest } from "./exchange.ts";
import { maskUrl } from "./mask-url.ts";

export type { HttpAnswer, HttpRequest } from "./exchange.ts";

/** Also the bound of what one slow host can hold of this process. */
const CONNECTIONS_PER_ORIGIN_MAX = 128;
const CONNECT_MS_MAX = 30_000;
/** Node's 250 ms give up on a distant address while it is still answering. */
const ADDRESS_ATTEMPT_MS = 2_000;
const RESPONSE_HEADER_BYTES_MAX = 16_384;

interface Line {
  agent: Agent;
  pending: Set<Promise<HttpAnswer>>;
}

let shared: Line | undefined;

/**
 * Any answer counts, whatever its status.
 *
 * @throws PawlError `http_failed` with `{ url, method, reason, sent, status? }`; `invalid_url`,
 * `invalid_option` for what cannot be sent at all
 */
export async function sendHttp(request: HttpRequest): Promise<HttpAnswer> {
  const url = httpUrl(request.url);
  checkTimeout(request.timeoutMs);
  shared ??= { agent: newAgent(), pending: new Set() };
  const line = shared;
  const exchange = new Exchange(request, url);
  line.pending.add(exchange.answer);
  try {
    exchange.start(line.agent);
    return await exchange.answer;
  } finally {
    line.pending.delete(exchange.answer);
  }
}

/** Waits for the requests under way, then closes all connections. A later `sendHttp` opens new ones. */
export async function closeHttpSender(): Promise<void> {
  const line = shared;
  shared = undefined;
  if (line === undefined) return;
  await Promise.allSettled(line.pending);
  // Not `close()`: it would wait for connections that are still being made for requests long given up.
  await line.agent.destroy();
}

function newAgent(): Agent {
  return new Agent({
    connections: CONNECTIONS_PER_ORIGIN_MAX,
    pipelining: 1,
    maxHeaderSize: RESPONSE_HEADER_BYTES_MAX,
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: { timeout: CONNECT_MS_MAX },
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: ADDRESS_ATTEMPT_MS,
  });
}

function httpUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "http:" || url?.protocol === "https:") return url;
  const masked = maskUrl(text);
  throw new PawlError("invalid_url", `cannot send to ${masked}: expected an http or https URL`, {
    data: { url: masked },
  });
}

function checkTimeout(timeoutMs: number): void {
  if (timeoutMs >= 1 && timeoutMs <= TIMER_MS_MAX) return;
  throw new PawlError(
    "invalid_option",
    `expected \`timeoutMs\` to be from 1 to ${TIMER_MS_MAX} milliseconds, got ${shown(timeoutMs)}`,
    { data: { option: "timeoutMs", value: timeoutMs } },
  );
}
