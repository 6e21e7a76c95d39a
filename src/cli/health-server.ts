/**
 * Answers `/live` and `/ready` of a worker over HTTP, to probes. Live: the process answers, so its event loop is not stuck; a parent
 * also says no while a process of its own is stuck and cannot be killed.
 * Ready: its worker has a lease and takes work. While the database is away a worker is live and not ready.
 */

import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { PawlError } from "../base/errors.ts";
import { messageOf } from "../base/thrown.ts";

export interface Health {
  readonly isReady: boolean;
  /** Default: true. */
  readonly isLive?: boolean;
  /** Why not, in a word or two; `ok` when it is. */
  readonly reason: string;
}

export interface HealthServer {
  readonly port: number;
  close(): void;
}

export interface HealthOptions {
  port: number;
  host: string;
  health: () => Health;
}

const REQUEST_MS = 5_000;

/** @throws PawlError `invalid_option` when the port cannot be had */
export async function serveHealth({ port, host, health }: HealthOptions): Promise<HealthServer> {
  const server = createServer({ requestTimeout: REQUEST_MS }, (request, response) =>
    answer(request, response, health),
  );
  try {
    server.listen({ port, host });
    await once(server, "listening");
  } catch (error) {
    throw new PawlError(
      "invalid_option",
      `work: \`healthPort\` ${port} of ${host} cannot be used: ${messageOf(error)}; choose another port, or stop what has it`,
      { cause: error, data: { option: "healthPort" } },
    );
  }
  return { port: (server.address() as AddressInfo).port, close: () => close(server) };
}

function close(server: Server): void {
  server.close();
  server.closeAllConnections();
}

function answer(request: IncomingMessage, response: ServerResponse, health: () => Health): void {
  const [status, body] = said(request, health);
  const head = { "content-type": "application/json", "cache-control": "no-store" };
  response.writeHead(status, head).end(`${JSON.stringify(body)}\n`);
}

function said({ method = "", url = "" }: IncomingMessage, health: () => Health): [number, object] {
  if (method !== "GET" && method !== "HEAD") return [405, { status: "only GET and HEAD" }];
  const [path] = url.split("?");
  if (path !== "/live" && path !== "/ready") return [404, { status: "only /live and /ready" }];
  const { isReady, isLive = true, reason } = health();
  if (path === "/live")
    return isLive ? [200, { status: "live" }] : [503, { status: "not live", reason }];
  return isReady ? [200, { status: "ready" }] : [503, { status: "not ready", reason }];
}
