/** Servers on the loopback for tests of the sender: whole ones, and raw sockets that break the rules of HTTP. */

import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import {
  connect,
  createServer as createTcpServer,
  type Socket,
  type Server as TcpServer,
} from "node:net";
import { vi } from "vitest";
import { atEnd } from "../support/at-end.ts";

export interface LocalServer {
  url: string;
  close(): Promise<void>;
}

export async function httpServer(listener: RequestListener): Promise<LocalServer> {
  const server = createServer(listener);
  return {
    url: await listening(server),
    close: async () => {
      server.closeAllConnections();
      await closed(server);
    },
  };
}

export async function httpsServer(
  pair: { key: string; cert: string },
  listener: RequestListener,
): Promise<LocalServer> {
  const server = createHttpsServer(pair, listener);
  server.on("tlsClientError", () => {});
  const url = await listening(server);
  return {
    url: url.replace("http:", "https:"),
    close: async () => {
      server.closeAllConnections();
      await closed(server);
    },
  };
}

/** Each connection is handed over raw. */
export async function tcpServer(
  onSocket: (socket: Socket) => void,
  host = "127.0.0.1",
): Promise<LocalServer> {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    onSocket(socket);
  });
  return {
    url: await listening(server, host),
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await closed(server);
    },
  };
}

/** A port on which nothing listens any more. An open connection keeps it from being given to anybody else. */
export async function freePort(): Promise<number> {
  const server = createTcpServer();
  const port = Number(new URL(await listening(server)).port);
  const accepted = once(server, "connection") as Promise<[Socket]>;
  const sockets = [connect(port, "127.0.0.1"), ...(await accepted)];
  server.close();
  for (const socket of sockets) socket.on("error", () => {}).unref();
  atEnd(() => {
    for (const socket of sockets) socket.destroy();
  });
  return port;
}

export async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

/** Lets the deadlines of requests pass only when `seen` has happened: however slow the machine, they came so far. */
export async function deadlineAfter<T>(
  seen: Promise<unknown>,
  timeoutMs: number,
  send: () => Promise<T>,
): Promise<T> {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  try {
    const sending = send();
    await seen;
    vi.advanceTimersByTime(timeoutMs);
    return await sending;
  } finally {
    vi.useRealTimers();
  }
}

/** Writes `piece` for ever, as fast or as slowly as the reader and `everyMs` allow. */
export function drip(
  socket: { write(piece: string): boolean; on(event: "close", done: () => void): unknown },
  piece: () => string,
  everyMs: number,
): void {
  const timer = setInterval(() => socket.write(piece()), everyMs);
  socket.on("close", () => clearInterval(timer));
}

async function listening(server: Server | TcpServer, host = "127.0.0.1"): Promise<string> {
  server.listen(0, host);
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return `http://127.0.0.1:${address.port}`;
}

async function closed(server: Server | TcpServer): Promise<void> {
  server.close();
  await once(server, "close");
}

/** A promise and its resolve: for what a server tells the test. */
export function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
