/**
 * TLS over a connection that stands. A certificate that does not hold ends it, whatever
 * NODE_TLS_REJECT_UNAUTHORIZED says. Sessions are kept per host and port, and only there used again.
 */

import { isIP, type Socket } from "node:net";
import { connect, type SecureContext } from "node:tls";
import { canonicalName } from "../guard/allow-list.ts";
import { toConnectError } from "./connect-error.ts";

const SESSIONS_MAX = 256;

export interface SecureRequest {
  socket: Socket;
  hostname: string;
  port: number;
  /** Sees the socket at once, while it still shakes hands. */
  onSocket: (socket: Socket) => void;
}

export type Secure = (request: SecureRequest) => Promise<Socket>;

export function secureWith(trust: SecureContext | undefined): Secure {
  /** The oldest first. */
  const sessions = new Map<string, Buffer>();
  const keep = (key: string, session: Buffer): void => {
    sessions.delete(key);
    const oldest = sessions.size < SESSIONS_MAX ? undefined : sessions.keys().next().value;
    if (oldest !== undefined) sessions.delete(oldest);
    sessions.set(key, session);
  };
  return ({ socket, hostname, port, onSocket }) =>
    new Promise((resolve, reject) => {
      const key = `${hostname}:${port}`;
      const session = sessions.get(key);
      const secured = connect({
        socket,
        host: hostname,
        servername: isIP(hostname) === 0 ? canonicalName(hostname) : "",
        ALPNProtocols: ["http/1.1"],
        rejectUnauthorized: true,
        ...(trust !== undefined && { secureContext: trust }),
        ...(session !== undefined && { session }),
      });
      onSocket(secured);
      secured.on("session", (made) => keep(key, made));
      secured.on("error", (error) => reject(toConnectError(error)));
      secured.on("close", () => reject(toConnectError({ code: "ECONNRESET" })));
      secured.once("secureConnect", () => resolve(secured));
    });
}
