/** A sender that remembers what went out and what came back, as people may see it: secrets masked. */

import { MASK, maskUrl } from "../../../base/mask.ts";
import { maskContent } from "../../../base/mask-json.ts";
import { excerpt } from "../../../sender/excerpt.ts";
import { BrokenAnswer } from "../../../sender/http-fault.ts";
import { maskHeaders } from "../../../sender/mask-headers.ts";
import type { HttpAnswer, HttpRequest, HttpSender } from "../../../sender/sender.ts";

const BODY_CHARS_MAX = 65_536;
/** A destination that sends more requests than this for one event is shown with the first of them. */
const EXCHANGES_MAX = 10;
/** Set by Pawl alone, and no secrets, whatever their names sound like. */
const OWN_HEADER = /^(?:webhook-|x-outbox-|x-event-)/i;

export interface SeenRequest {
  method: string;
  /** Masked, as all that is shown of URLs. */
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
    try {
      const answer = await http.send(request);
      seen.answer = seenAnswer(answer);
      return answer;
    } catch (error) {
      if (error instanceof BrokenAnswer) seen.answer = seenAnswer(error.answer);
      throw error;
    }
  };
  const { guard } = http;
  const captured = { send, close: () => http.close(), ...(guard !== undefined && { guard }) };
  return { http: captured, exchanges };
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
    body: shownBody(typeof body === "string" ? body : new TextDecoder().decode(body)),
  };
}

function seenAnswer({ status, headers, body, truncated, timings }: HttpAnswer): SeenAnswer {
  return {
    status,
    headers: maskHeaders(headers),
    body: shownBody(body),
    truncated,
    timings,
  };
}

function shownBody(body: string): string {
  return excerpt(maskContent(body), BODY_CHARS_MAX);
}
