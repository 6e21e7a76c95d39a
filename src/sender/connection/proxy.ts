/**
 * A proxy by its URL: plain requests are handed to it whole, those for https go through a tunnel that it opens
 * (RFC 9110, section 9.3.6). Its credentials go to it alone.
 */

import { request as httpRequest } from "node:http";
import type { Socket } from "node:net";
import { PawlError } from "../../base/errors.ts";
import { maskUrl } from "../../base/mask.ts";
import { type Field, field } from "../../options/field.ts";
import { isSecretRef, readSecret, type SecretRef } from "../../secrets/secret.ts";
import { portOf } from "../guard/guard.ts";
import { proxyFailed } from "./connect-error.ts";
import type { IsDirect } from "./no-proxy.ts";

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

/** `undefined`: that host is reached directly. */
export type ProxyFor = (hostname: string, port: number) => HttpProxy | undefined;

const EXPECTED = 'a URL such as "http://proxy.example:3128" (http or https, no path)';
export const PROXY: Field<string | SecretRef> = field({
  kind: "secret",
  help: "the proxy that everything goes through",
  shape: "url",
  expected: EXPECTED,
  isSecret: true,
  read: (given) => {
    if (isSecretRef(given)) return given;
    return typeof given === "string" && proxyOf(given) !== undefined ? given : undefined;
  },
});

/** A URL in the environment is read, and checked, at each use. @throws PawlError `invalid_option`, later `invalid_environment` */
export function proxyReader(proxy: string | SecretRef | undefined, isDirect: IsDirect): ProxyFor {
  if (proxy === undefined) return () => undefined;
  const parsed = isSecretRef(proxy) ? undefined : parseProxy(proxy);
  return (hostname, port) =>
    isDirect(hostname, port) ? undefined : (parsed ?? parseProxy(readSecret(proxy, OPTION)));
}

function parseProxy(text: string): HttpProxy {
  const proxy = proxyOf(text);
  if (proxy !== undefined) return proxy;
  throw new PawlError(
    "invalid_option",
    `expected \`${OPTION}\` to be ${EXPECTED}, got ${maskUrl(text)}`,
    {
      data: { option: OPTION },
    },
  );
}

function proxyOf(text: string): HttpProxy | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isSecure = url?.protocol === "https:";
  const isPlain = url !== undefined && url.pathname === "/" && url.search === "";
  if (!isPlain || (!isSecure && url.protocol !== "http:")) return undefined;
  const headers = credentialsOf(url);
  if (headers === undefined) return undefined;
  return {
    hostname: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: portOf(url),
    isSecure,
    shown: url.origin,
    headers,
  };
}

/** Undefined for credentials that no header can hold. */
function credentialsOf(url: URL): Record<string, string> | undefined {
  if (url.username === "" && url.password === "") return {};
  try {
    const [name, password] = [url.username, url.password].map(decodeURIComponent);
    // RFC 7617, section 2: a colon in the name would move a part of it into the password
    if (name?.includes(":") === true) return undefined;
    const pair = `${name}:${password}`;
    return { "proxy-authorization": `Basic ${Buffer.from(pair).toString("base64")}` };
  } catch {
    return undefined;
  }
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
