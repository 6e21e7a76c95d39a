/**
 * Makes the connections of a sender: TCP by the guard's leave, through the proxy if there is one, then TLS.
 * Invariant: none is being made for longer than 30 s, and none after `destroy`.
 */

import type { LookupFunction, Socket } from "node:net";
import type { SecureContext } from "node:tls";
import type { buildConnector } from "undici";
import type { Guard } from "../guard/guard.ts";
import { type AnswerHead, readHeads } from "./answer-head.ts";
import { ConnectError, proxyFailed, toConnectError } from "./connect-error.ts";
import { type HttpProxy, openTunnel, type ProxyFor } from "./proxy.ts";
import { type ConnectPhases, connectTcp } from "./tcp.ts";
import { type Secure, secureWith } from "./tls.ts";

/** Over lookup, TCP, proxy and TLS together; a request's own deadline is mostly shorter. */
const CONNECT_MS_MAX = 30_000;

export interface ConnectorOptions {
  guard: Guard;
  lookup: LookupFunction | undefined;
  trust: SecureContext | undefined;
  proxy: ProxyFor;
}

export interface Connector {
  /** What undici calls for each connection. */
  connect: buildConnector.connector;
  /** Times of a connection that `dispatch` begins before it returns are written to `phases`. */
  measure(phases: ConnectPhases, dispatch: () => void): void;
  /** What is seen of the next answer is written to `head`. To be called right before undici writes the request. */
  expect(head: AnswerHead): void;
  /** Gives up the connections that are still being made. */
  destroy(): void;
}

interface Target {
  hostname: string;
  port: number;
  isSecure: boolean;
}

export function openConnector(options: ConnectorOptions): Connector {
  const connecting = new Set<Socket>();
  const secure = secureWith(options.trust);
  let measured: ConnectPhases | undefined;
  let expected: AnswerHead | undefined;
  const nextHead = (): AnswerHead | undefined => {
    const head = expected;
    expected = undefined;
    return head;
  };
  const open = async (target: Target, phases: ConnectPhases): Promise<Socket> => {
    const made: Socket[] = [];
    const onSocket = (socket: Socket): void => {
      made.push(socket);
      connecting.add(socket);
    };
    const destroy = (error?: Error): void => {
      // The outermost first: it owns the ones within.
      for (const socket of made.toReversed()) socket.destroy(error);
    };
    const timer = setTimeout(() => destroy(connectTimeout()), CONNECT_MS_MAX);
    try {
      return await openTo(target, options, { secure, onSocket, phases });
    } catch (error) {
      destroy();
      throw error;
    } finally {
      clearTimeout(timer);
      for (const socket of made) connecting.delete(socket);
    }
  };
  return {
    connect: ({ hostname, protocol, port }, callback) => {
      const isSecure = protocol === "https:";
      const portNumber = Number(port || (isSecure ? 443 : 80));
      open({ hostname, port: portNumber, isSecure }, measured ?? {}).then(
        (socket) => callback(null, readHeads(socket, nextHead)),
        (error: unknown) => callback(toConnectError(error), null),
      );
    },
    measure: (phases, dispatch) => {
      measured = phases;
      try {
        dispatch();
      } finally {
        measured = undefined;
      }
    },
    expect: (head) => {
      expected = head;
    },
    destroy: () => {
      for (const socket of connecting) socket.destroy();
    },
  };
}

function connectTimeout(): ConnectError {
  return new ConnectError("timeout", { detail: `no connection within ${CONNECT_MS_MAX} ms` });
}

interface Means {
  secure: Secure;
  onSocket: (socket: Socket) => void;
  phases: ConnectPhases;
}

async function openTo(target: Target, options: ConnectorOptions, means: Means): Promise<Socket> {
  const proxy = options.proxy(target.hostname, target.port);
  const socket =
    proxy === undefined
      ? await connectTcp({ ...target, ...options, onSocket: means.onSocket }, means.phases)
      : await throughProxy(proxy, target, options, means);
  if (!target.isSecure) return socket;
  const startedAt = performance.now();
  const secured = await means.secure({ ...target, socket, onSocket: means.onSocket });
  means.phases.tlsMs = performance.now() - startedAt;
  return secured;
}

/** The proxy itself is exempt from the guard: the app names it, no receiver does. */
async function throughProxy(
  proxy: HttpProxy,
  target: Target,
  options: ConnectorOptions,
  { secure, onSocket, phases }: Means,
): Promise<Socket> {
  const startedAt = performance.now();
  const to = { hostname: proxy.hostname, port: proxy.port };
  try {
    const request = { ...to, lookup: options.lookup, guard: undefined, onSocket };
    const tcp = await connectTcp(request, phases);
    const socket = proxy.isSecure ? await secure({ ...to, socket: tcp, onSocket }) : tcp;
    if (target.isSecure) await openTunnel(socket, proxy, authorityOf(target));
    return socket;
  } catch (error) {
    const { reason, detail, cause } = toConnectError(error);
    if (reason === "proxy") throw error;
    throw proxyFailed(`no connection to the proxy ${proxy.shown}: ${detail ?? reason}`, cause);
  } finally {
    phases.connectMs = performance.now() - startedAt - (phases.dnsMs ?? 0);
  }
}

function authorityOf({ hostname, port }: Target): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}
