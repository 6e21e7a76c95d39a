/** The outside world on this machine: a mail provider, the company register, web pages, a browser, a model, search. Real HTTP servers; only what they answer is made up. */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

/** How the next call of a path fails: with a status, or `lost`: the work is done and the answer never comes. */
export interface Fault {
  status: number | "lost";
  retryAfter?: number;
}

export interface Mail {
  to: string;
  text: string;
}

export interface World {
  url: string;
  mails: Mail[];
  calls: string[];
  /** The next calls whose path begins so fail, one after the other. */
  fail(path: string, ...faults: Fault[]): void;
  /** Forgets what was sent and asked, and the faults. */
  reset(): void;
  close(): Promise<void>;
}

const PAGE = '<title>Shop</title><img src="/logo.png">';
const GOOD_PAGE =
  '<title>Good</title><meta name="description" content="x"><meta name="viewport" content="x"><img alt="x">';
const PNG = Buffer.from("89504e470d0a1a0a0000", "hex");

export async function startWorld(port = 0): Promise<World> {
  const mails: Mail[] = [];
  const calls: string[] = [];
  const faults: { path: string; fault: Fault }[] = [];
  const sent = new Map<string, string>();
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? "/", "http://world");
    const body = await text(request);
    calls.push(`${request.method} ${url.pathname}`);
    const at = faults.findIndex(({ path }) => url.pathname.startsWith(path));
    const fault = at === -1 ? undefined : faults.splice(at, 1)[0]?.fault;
    if (typeof fault?.status === "number") {
      if (fault.retryAfter !== undefined) response.setHeader("retry-after", fault.retryAfter);
      response.writeHead(fault.status).end("as asked");
      return;
    }
    const [, service = "", ...rest] = url.pathname.split("/");
    const name = decodeURIComponent(rest.at(-1) ?? "");
    const asked = { url, name, body, key: String(request.headers["idempotency-key"]), mails, sent };
    const [status, made] = SERVICES[service]?.(asked) ?? [404, "no such service"];
    if (fault === undefined) response.writeHead(status).end(bytesOf(made));
    else request.socket.destroy();
  };
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    mails,
    calls,
    fail: (path, ...more) => faults.push(...more.map((fault) => ({ path, fault }))),
    reset: () => {
      for (const list of [mails, calls, faults]) list.length = 0;
      sent.clear();
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

type Answer = [status: number, body: unknown];

function bytesOf(made: unknown): string | Buffer {
  return Buffer.isBuffer(made) || typeof made === "string" ? made : JSON.stringify(made);
}

interface Asked {
  url: URL;
  /** The last part of the path. */
  name: string;
  body: string;
  key: string;
  mails: Mail[];
  sent: Map<string, string>;
}

const SERVICES: Readonly<Record<string, (asked: Asked) => Answer>> = {
  ses: ({ body, key, mails, sent }) => {
    const known = sent.get(key) ?? `mail-${mails.push(JSON.parse(body) as Mail)}`;
    sent.set(key, known);
    return [200, { messageId: known }];
  },
  ares: ({ name }) =>
    name === "00000000"
      ? [404, "no such company"]
      : [200, { name: `Company ${name}`, address: "Brno" }],
  sites: ({ name }) =>
    name.includes("gone") ? [410, "gone"] : [200, name.includes("good") ? GOOD_PAGE : PAGE],
  browserless: ({ body }) => [200, body.includes("broken") ? Buffer.from("no picture") : PNG],
  ai: ({ body }) => {
    const { prompt } = JSON.parse(body) as { prompt: string };
    return [200, { text: prompt.includes("silent") ? "" : `Written: ${prompt}` }];
  },
  tls: ({ name }) => [
    200,
    { validTo: name.includes("good") ? "2999-01-01T00:00:00Z" : "2026-01-01T00:00:00Z" },
  ],
  discover: ({ url }) => {
    const query = url.searchParams.get("q") ?? "";
    const count = query === "nothing" ? 0 : Math.min(3, Number(url.searchParams.get("limit")));
    const site = (i: number) => ({
      url: `${query}-${i + 1}.example`,
      industry: query,
      email: `info@${query}-${i + 1}.example`,
    });
    return [200, { results: Array.from({ length: count }, (_, i) => site(i)) }];
  },
};

if (process.argv[1] === import.meta.filename) {
  const world = await startWorld(Number(process.env.PORT ?? 8790));
  console.log(`the world is at ${world.url}`);
}
