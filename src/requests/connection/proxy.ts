/**
 * A proxy by its URL: plain requests are handed to it whole, those for https go through a tunnel that it opens
 * (RFC 9110, section 9.3.6). Its credentials go to it alone.
 */

import { request as httpRequest } from "node:http";
import type { Socket } from "node:net";
import { PawlError } from "../../base/errors.ts";
import { isSecretRef, readSecret, type SecretRef } from "../../base/secret.ts";
import { portOf } from "../guard/guard.ts";
import { maskUrl } from "../mask-url.ts";
import { proxyFailed } from "./connect-error.ts";

const OPTION = "http.proxy";
const HEADER_BYTES_MAX = 16_384;

export interface HttpProxy {
  hostname: string;
  port: number;
  isSecure: boolean;
  /** Without credentials, for messages. */
  shown: string;
  /** What makes it let us through; empty without credentials. */
  headers: Record<string, string>;
}

/**
 * A URL that is given is checked now, one in the environment at each use.
 *
 * @throws PawlError `invalid_option`; later `invalid_environment`
 */
export function proxyReader(proxy: string | SecretRef | undefined): () => HttpProxy | undefined {
  if (proxy === undefined) return () => undefined;
  if (isSecretRef(proxy)) return () => parseProxy(readSecret(proxy, OPTION));
  const parsed = parseProxy(proxy);
  return () => parsed;
}

function parseProxy(text: unknown): HttpProxy {
  const url = typeof text === "string" && URL.canParse(text) ? new URL(text) : undefined;
  const isSecure = url?.protocol === "https:";
  const isPlain = url !== undefined && url.pathname === "/" && url.search === "";
  if (!isPlain || (!isSecure && url.protocol !== "http:")) throw badProxy(text);
  return {
    hostname: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: portOf(url),
    isSecure,
    shown: url.origin,
    headers: credentialsOf(url, text),
  };
}

function credentialsOf(url: URL, text: unknown): Record<string, string> {
  if (url.username === "" && url.password === "") return {};
  try {
    const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
    return { "proxy-authorization": `Basic ${Buffer.from(pair).toString("base64")}` };
  } catch {
    throw badProxy(text);
  }
}

function badProxy(text: unknown): PawlError {
  const got = typeof text === "string" ? maskUrl(text) : typeof text;
  return new PawlError(
    "invalid_option",
    `\`${OPTION}\`: expected a URL such as "http://proxy.example:3128" (http or https, no path), got ${got}`,
    { data: { option: OPTION } },
  );
}

/** Asks the proxy at the other end of `socket` to connect it to `authority`, as in `host:443`. */
export function openTunnel(socket: Socket, proxy: HttpProxy, authority: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      createConnection: () => socket,
      method: "CONNECT",
      path: authority,
      headers: { host: authority, ...proxy.headers },
      maxHeaderSize: HEADER_BYTES_MAX,
    });
    request.on("error", (cause) =>
      reject(proxyFailed(`the proxy ${proxy.shown} closed the connection`, cause)),
    );
    request.once("connect", ({ statusCode = 0 }, _socket, head: Buffer) => {
      if (statusCode < 200 || statusCode > 299) {
        reject(proxyFailed(`the proxy ${proxy.shown} opened no tunnel (status ${statusCode})`));
      } else if (head.length > 0) {
        // The receiver speaks first in no TLS; these bytes would be taken for its answer.
        reject(proxyFailed(`the proxy ${proxy.shown} sent bytes of its own into the tunnel`));
      } else resolve();
    });
    request.end();
  });
}
