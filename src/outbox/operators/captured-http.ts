/** A sender that remembers what went out and what came back, as people may see it: secrets masked. */

import { MASK } from "../../base/secret.ts";
import { excerpt } from "../../requests/excerpt.ts";
import { maskHeaders } from "../../requests/mask-headers.ts";
import { maskUrl } from "../../requests/mask-url.ts";
import type { HttpAnswer, HttpRequest, HttpSender } from "../../requests/sender.ts";

const BODY_CHARS_MAX = 65_536;
/** A destination that sends more requests than this for one event is shown with the first of them. */
const EXCHANGES_MAX = 10;
/** Set by Pawl alone, and no secrets, whatever their names sound like. */
const OWN_HEADER = /^(?:webhook-|x-outbox-|x-event-)/i;

export interface SeenRequest {
  method: string;
  /** Without credentials and the values of the query. */
  url: string;
  headers: Record<string, string>;
  body: string;
}

export interface SeenAnswer {
  status: number;
  headers: Record<string, string>;
  body: string;
  truncated: boolean;
  /** Milliseconds. */
  timings: HttpAnswer["timings"];
}

export interface SeenExchange {
  request: SeenRequest;
  /** null: there was none. */
  answer: SeenAnswer | null;
}

/** `headers`: those of the config as they may be shown. */
export function capturing(
  http: HttpSender,
  headers: Readonly<Record<string, string>>,
): { http: HttpSender; exchanges: SeenExchange[] } {
  const exchanges: SeenExchange[] = [];
  const send = async (request: HttpRequest): Promise<HttpAnswer> => {
    const seen: SeenExchange = { request: seenRequest(request, headers), answer: null };
    if (exchanges.length < EXCHANGES_MAX) exchanges.push(seen);
    const answer = await http.send(request);
    seen.answer = seenAnswer(answer);
    return answer;
  };
  return { http: { send, close: () => http.close() }, exchanges };
}

function seenRequest(
  { method, url, headers, body }: HttpRequest,
  configured: Readonly<Record<string, string>>,
): SeenRequest {
  const masked = maskHeaders(headers);
  const shown = Object.keys(headers).map((name) => {
    const own = OWN_HEADER.test(name) ? headers[name] : configured[name.toLowerCase()];
    return [name, own ?? masked[name] ?? MASK];
  });
  return {
    method,
    url: maskUrl(url),
    headers: Object.fromEntries(shown) as Record<string, string>,
    body: excerpt(typeof body === "string" ? body : new TextDecoder().decode(body), BODY_CHARS_MAX),
  };
}

function seenAnswer({ status, headers, body, truncated, timings }: HttpAnswer): SeenAnswer {
  return {
    status,
    headers: maskHeaders(headers),
    body: excerpt(body, BODY_CHARS_MAX),
    truncated,
    timings,
  };
}
