/**
 * One TCP connection to a host that the guard permits. Invariant: it connects only to addresses that were
 * checked in that very lookup, and hands over a socket to which nothing was written yet.
 */

import { lookup as dnsLookup, type LookupAddress } from "node:dns";
import { connect, type LookupFunction, Socket } from "node:net";
import type { Guard } from "../guard/guard.ts";
import { ConnectError, connectRefused, toConnectError } from "./connect-error.ts";

/** Node's 250 ms give up on a distant address while it is still answering. */
const ADDRESS_ATTEMPT_MS = 2_000;
const KEEP_ALIVE_PROBE_MS = 60_000;

/** How long the parts of making a connection took; filled in as they end. */
export interface ConnectPhases {
  hasBegun?: boolean;
  dnsMs?: number;
  connectMs?: number;
  tlsMs?: number;
}

export interface TcpRequest {
  hostname: string;
  port: number;
  /** Without one every host is permitted. */
  guard: Guard | undefined;
  lookup: LookupFunction | undefined;
  /** Sees the socket at once, while it still connects. */
  onSocket: (socket: Socket) => void;
}

export function connectTcp(request: TcpRequest, phases: ConnectPhases): Promise<Socket> {
  const { hostname, port, guard } = request;
  phases.hasBegun = true;
  let startedAt = performance.now();
  const lookup: LookupFunction = (name, options, callback) =>
    (request.lookup ?? dnsLookup)(name, { ...options, all: true }, (error, found) => {
      phases.dnsMs = performance.now() - startedAt;
      startedAt += phases.dnsMs;
      const checked = error ?? checkAddresses(request, found);
      if (Array.isArray(checked)) callback(null, checked);
      else callback(checked, []);
    });
  return new Promise((resolve, reject) => {
    const refusal = guard?.refuseHost(hostname, port);
    if (refusal !== undefined) throw connectRefused(refusal);
    const socket = connect({
      host: hostname,
      port,
      lookup,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_PROBE_MS,
      autoSelectFamily: true,
      autoSelectFamilyAttemptTimeout: ADDRESS_ATTEMPT_MS,
    });
    request.onSocket(socket);
    // Kept for the whole life: an error may come between this promise and its reader.
    socket.on("error", (error) => reject(toConnectError(error)));
    socket.on("close", () => reject(new ConnectError("reset")));
    socket.once("connect", () => {
      phases.connectMs = performance.now() - startedAt;
      const peer = guard?.refuseAddresses(hostname, port, [socket.remoteAddress ?? ""]);
      if (peer === undefined) resolve(socket);
      else socket.destroy(connectRefused(peer));
    });
  });
}

/**
 * For clients that open a TCP connection by themselves: a lookup that gives only addresses of a host that the guard
 * permits. Of a host that is an address nothing is looked up: ask `refuseHost` first.
 */
export function guardedLookup(guard: Guard, hostname: string, port: number): LookupFunction {
  return (name, options, callback) =>
    dnsLookup(name, { ...options, all: true }, (error, found) => {
      const request = { hostname, port, guard, lookup: undefined, onSocket: () => undefined };
      const checked = error ?? checkAddresses(request, found);
      const first = Array.isArray(checked) ? checked[0] : undefined;
      if (!Array.isArray(checked)) callback(checked, []);
      else if (options.all === true || first === undefined) callback(null, checked);
      else callback(null, first.address, first.family);
    });
}

/** For clients that connect a socket of ours by `connect(port, host)`: only to what the guard permits. A path is let through. */
export function guardedSocket(guard: Guard): Socket {
  const socket = new Socket();
  const dial = socket.connect.bind(socket);
  const guarded = (port: number | string, host = "localhost"): Socket => {
    const number = Number(port);
    if (!Number.isInteger(number)) return dial(String(port));
    const refusal = guard.refuseHost(host, number);
    if (refusal !== undefined) return socket.destroy(connectRefused(refusal));
    return dial({ host, port: number, lookup: guardedLookup(guard, host, number) });
  };
  return Object.assign(socket, { connect: guarded });
}

function checkAddresses(
  { hostname, port, guard }: TcpRequest,
  found: string | LookupAddress[],
): LookupAddress[] | NodeJS.ErrnoException {
  if (!Array.isArray(found)) return new ConnectError("dns", { detail: "the lookup gave no list" });
  const addresses = found.map(({ address }) => address);
  const refusal = guard?.refuseAddresses(hostname, port, addresses);
  if (refusal !== undefined) return connectRefused(refusal);
  // A copy: what was checked stays what it is.
  return found.map(({ address, family }) => ({ address, family }));
}
