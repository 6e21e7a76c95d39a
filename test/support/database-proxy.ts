/** A TCP proxy before PostgreSQL: the database is away while it turns every connection away, or falls silent. */

import net from "node:net";
import { atEnd } from "./at-end.ts";
import { serverOf, urlThrough } from "./commit-proxy.ts";

export interface DatabaseProxy {
  readonly url: string;
  /** Connections that were turned away. */
  readonly turnedAway: number;
  /** Cuts all connections, and turns new ones away until `comeBack`. */
  goAway(): void;
  comeBack(): void;
  /** From now on nothing passes on the connections that are open, and nobody learns that the other side has gone. */
  freeze(): void;
  /** The answer to the next message with this text, and all after it on its connection, waits until it is released. */
  holdAnswerTo(text: string): HeldAnswer;
}

export interface HeldAnswer {
  readonly isHeld: boolean;
  release(): void;
}

export async function databaseProxy(url: string): Promise<DatabaseProxy> {
  const server = serverOf(url);
  const open = new Set<net.Socket>();
  let isAway = false;
  let turnedAway = 0;
  let awaited: ((upstream: net.Socket, chunk: Buffer) => void) | undefined;
  const listener = net.createServer((client) => {
    client.on("error", () => undefined);
    if (isAway) {
      turnedAway += 1;
      client.destroy();
      return;
    }
    const upstream = net.connect(server);
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      open.add(one);
      one.on("error", () => undefined);
      one.on("data", (chunk) => {
        if (one === client) awaited?.(upstream, chunk);
        other.write(chunk);
      });
      one.on("close", () => {
        open.delete(one);
        other.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const cutAll = () => {
    for (const socket of open) socket.destroy();
  };
  atEnd(() => {
    listener.close();
    cutAll();
  });
  return {
    url: urlThrough(url, (listener.address() as net.AddressInfo).port),
    get turnedAway() {
      return turnedAway;
    },
    goAway: () => {
      isAway = true;
      cutAll();
    },
    comeBack: () => {
      isAway = false;
    },
    freeze: () => {
      for (const socket of open) socket.pause();
    },
    holdAnswerTo: (text) => {
      let held: net.Socket | undefined;
      awaited = (upstream, chunk) => {
        if (!chunk.includes(text)) return;
        awaited = undefined;
        held = upstream;
        upstream.pause();
      };
      return {
        get isHeld() {
          return held !== undefined;
        },
        release: () => held?.resume(),
      };
    },
  };
}
