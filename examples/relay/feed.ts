/**
 * The outside world of this example: a feed of the real GitHub webhook payloads in the npm package
 * `@octokit/webhooks-examples`. Ids ascend from 1, and the same id is always the same event.
 */

import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import { createRequire } from "node:module";
import { parseArgs } from "node:util";
import { isMain, listenOnLoopback, wholeNumber } from "./local.ts";

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1_000;
const COPIES_MAX = 10_000;

export interface FeedOptions {
  /** Default 0: any free port. */
  port?: number;
  /** How often the payloads are repeated, each time under new ids; default 1. */
  copies?: number;
}

export interface Feed {
  /** `GET <url>/events?after=0&limit=100` returns `[{ id, name, action?, payload }]`. */
  url: string;
  /** Number of events: the ids go from 1 to this number. */
  count: number;
  close(): Promise<void>;
}

export async function startFeed({ port = 0, copies = 1 }: FeedOptions = {}): Promise<Feed> {
  if (!(Number.isInteger(copies) && copies >= 1 && copies <= COPIES_MAX)) {
    throw new RangeError(`expected copies to be from 1 to ${COPIES_MAX}, got ${copies}`);
  }
  const events = realEvents();
  const count = events.length * copies;
  const page = (after: number, limit: number): string => {
    const ids = Array.from(
      { length: Math.max(0, Math.min(limit, count - after)) },
      (_, i) => after + 1 + i,
    );
    return `[${ids.map((id) => `{"id":${id},${events[(id - 1) % events.length]}`).join(",")}]`;
  };
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://feed");
    if (request.method !== "GET" || url.pathname !== "/events") {
      answer(response, 404, { error: "only GET /events?after=<id>&limit=<n> is served" });
      return;
    }
    const after = wholeNumber(url.searchParams.get("after") ?? "0", -1, Number.MAX_SAFE_INTEGER);
    const limit = wholeNumber(url.searchParams.get("limit") ?? `${LIMIT_DEFAULT}`, 1, LIMIT_MAX);
    if (after === undefined || limit === undefined) {
      answer(response, 400, { error: `after must be from -1, limit from 1 to ${LIMIT_MAX}` });
      return;
    }
    answer(response, 200, page(Math.max(after, 0), limit));
  });
  return { ...(await listenOnLoopback(server, port)), count };
}

/** Each event as JSON without its id and its opening brace, in the order of the package. */
function realEvents(): string[] {
  const load: (name: string) => unknown = createRequire(import.meta.url);
  const definitions = load("@octokit/webhooks-examples") as Array<{
    name: string;
    examples: Array<{ action?: string }>;
  }>;
  return definitions.flatMap(({ name, examples }) =>
    examples.map((payload) => JSON.stringify({ name, action: payload.action, payload }).slice(1)),
  );
}

function answer(response: ServerResponse, status: number, body: string | object): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(typeof body === "string" ? body : JSON.stringify(body));
}

if (isMain(import.meta.url)) {
  const { values } = parseArgs({
    options: { port: { type: "string" }, copies: { type: "string" } },
  });
  const feed = await startFeed({
    port: Number(values.port ?? 0),
    copies: Number(values.copies ?? 1),
  });
  const stopped = Promise.race([once(process, "SIGTERM"), once(process, "SIGINT")]);
  process.stdout.write(`${feed.url}\n`); // whoever reads it may stop us at once
  await stopped;
  await feed.close();
}
