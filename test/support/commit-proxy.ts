/**
 * A TCP proxy before PostgreSQL that decides the fate of one COMMIT: whether it arrives, and whether its answer does.
 * The connection that sent it is cut in any case.
 */

import net from "node:net";
import pg from "pg";
import { atEnd } from "./at-end.ts";

/** As node-postgres sends it: a simple query (PostgreSQL manual, 55.7). */
const COMMIT = Buffer.from("Q\0\0\0\x0bcommit\0", "latin1");

export type Fate = "answer lost" | "never arrives" | "arrives late";

export interface CommitProxy {
  readonly url: string;
  /** The next COMMIT meets this fate. */
  arm(fate: Fate): void;
  /** How many messages with this text have passed. */
  passed(text: string): number;
  /** Lets the one that is late go on. */
  release(): void;
}

interface Wire {
  client: net.Socket;
  server: net.Socket;
  /** The server is not to learn that the client has gone. */
  isKept: boolean;
}

export async function commitProxy(url: string): Promise<CommitProxy> {
  const target = serverOf(url);
  const messages: string[] = [];
  let armed: Fate | undefined;
  let late: (() => void) | undefined;
  const sent = (wire: Wire, chunk: Buffer) => {
    messages.push(chunk.toString("latin1"));
    const fate = chunk.includes(COMMIT) ? armed : undefined;
    if (fate === undefined) wire.server.write(chunk);
    else {
      armed = undefined;
      meet(fate, wire, chunk, (release) => {
        late = release;
      });
    }
  };
  const listener = net.createServer((client) => {
    const server = net.connect(target);
    const wire: Wire = { client, server, isKept: false };
    for (const socket of [client, server]) socket.on("error", () => undefined);
    client.on("data", (chunk) => sent(wire, chunk));
    server.on("data", (chunk) => client.write(chunk));
    client.on("close", () => {
      if (!wire.isKept) server.destroy();
    });
    server.on("close", () => client.destroy());
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  atEnd(() => listener.close());
  return {
    url: urlThrough(url, (listener.address() as net.AddressInfo).port),
    arm: (fate) => {
      armed = fate;
    },
    passed: (text) => messages.filter((message) => message.includes(text)).length,
    release: () => late?.(),
  };
}

/** Where to connect to: a host and port, or a socket. */
export function serverOf(url: string): { path: string } | { host: string; port: number } {
  const { host, port } = new pg.Client({ connectionString: url });
  return host.startsWith("/") ? { path: `${host}/.s.PGSQL.${port}` } : { host, port };
}

/** The same database and user by way of a port of this host. */
export function urlThrough(url: string, port: number): string {
  const { user, password, database } = new pg.Client({ connectionString: url });
  const secret = password === null ? "" : `:${encodeURIComponent(String(password))}`;
  return `postgresql://${encodeURIComponent(user ?? "")}${secret}@127.0.0.1:${port}/${database}`;
}

function meet(fate: Fate, wire: Wire, commit: Buffer, keep: (release: () => void) => void): void {
  const { client, server } = wire;
  if (fate === "never arrives") {
    server.destroy();
  } else if (fate === "arrives late") {
    wire.isKept = true;
    client.destroy();
    keep(() => server.end(commit));
  } else {
    server.removeAllListeners("data");
    server.once("data", () => server.destroy()); // it was answered
    server.write(commit);
  }
}
