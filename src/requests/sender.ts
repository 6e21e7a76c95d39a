/**
 * Sends HTTP requests over connections that are shared, kept alive and bounded: only to hosts of the public
 * internet and those that the app permits; one total deadline over connect, TLS, headers and body; no
 * redirects; an answer of bounded size.
 */

import type { LookupFunction } from "node:net";
import { TIMER_MS_MAX } from "../base/duration.ts";
import { PawlError, shown } from "../base/errors.ts";
import { refuseUnknownOptions } from "../base/options.ts";
import type { SecretRef } from "../base/secret.ts";
import { openConnector } from "./connection/connector.ts";
import { type OriginPools, openPools } from "./connection/pools.ts";
import { proxyReader } from "./connection/proxy.ts";
import { trustWith } from "./connection/trust.ts";
import { Exchange, type HttpAnswer, type HttpRequest } from "./exchange.ts";
import { type Guard, openGuard, portOf } from "./guard/guard.ts";
import { addressForbidden } from "./guard/refusal.ts";
import { maskUrl } from "./mask-url.ts";

export type { HttpAnswer, HttpRequest, HttpTimings } from "./exchange.ts";
export { refuseForbiddenUrl } from "./guard/guard.ts";

const OPTIONS = ["allow", "proxy", "ca", "lookup"] as const satisfies ReadonlyArray<
  keyof SenderOptions
>;

export interface SenderOptions {
  /** Hosts that are private and may be reached all the same: names (`localhost`, `*.internal`), addresses, CIDR ranges, each optionally with `:port`. */
  allow?: readonly string[];
  /** The http or https proxy that everything goes through, with credentials if it wants some. */
  proxy?: string | SecretRef;
  /** Certificates of authorities (PEM) that are trusted beside those that Node trusts. */
  ca?: string | readonly string[];
  /** For tests: instead of `dns.lookup`. */
  lookup?: LookupFunction;
}

export interface HttpSender {
  /**
   * Any answer counts, whatever its status.
   *
   * @throws PawlError `http_failed` with `{ url, method, reason, sent, timings, status?, errorCode? }`;
   * `address_forbidden` with `{ url, host, address?, reason: "forbidden", sent: "no" }`; `invalid_url`,
   * `invalid_option`, `invalid_environment` for what cannot be sent at all
   */
  send(request: HttpRequest): Promise<HttpAnswer>;
  /** Waits for the requests under way, then closes all connections. A later `send` opens new ones. */
  close(): Promise<void>;
}

/** @throws PawlError `invalid_option` naming the option, as in `http.allow[2]` */
export function openSender(options: SenderOptions = {}): HttpSender {
  refuseUnknownOptions("http", options, OPTIONS);
  const guard = openGuard(options.allow ?? []);
  const proxy = proxyReader(options.proxy);
  const trust = trustWith(options.ca);
  const connector = openConnector({ guard, proxy, trust, lookup: options.lookup });
  let pools: OriginPools | undefined;
  const pending = new Set<Promise<HttpAnswer>>();
  return {
    async send(request) {
      const url = httpUrl(request.url);
      checkTimeout(request.timeoutMs);
      pools ??= openPools(connector.connect);
      const origin = pools.of(url, () => refuseHost(guard, url));
      const through = proxy();
      const isHandedOver = through !== undefined && url.protocol === "http:";
      const exchange = new Exchange(request, url);
      pending.add(exchange.answer);
      origin.underWay += 1;
      try {
        exchange.start({
          dispatcher: origin.pool,
          connector,
          ...(isHandedOver && { proxy: through }),
        });
        return await exchange.answer;
      } finally {
        origin.underWay -= 1;
        pending.delete(exchange.answer);
      }
    },
    async close() {
      const closing = pools;
      pools = undefined;
      await Promise.allSettled(pending);
      connector.destroy();
      await closing?.destroy();
    },
  };
}

/** Once per origin; through a proxy, which looks names up itself, there is no other check. */
function refuseHost(guard: Guard, url: URL): void {
  const refusal = guard.refuseHost(url.hostname, portOf(url));
  if (refusal !== undefined) throw addressForbidden(refusal, url);
}

function httpUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "http:" || url?.protocol === "https:") return url;
  const masked = maskUrl(text);
  throw new PawlError("invalid_url", `cannot send to ${masked}: expected an http or https URL`, {
    data: { url: masked },
  });
}

function checkTimeout(timeoutMs: number): void {
  if (timeoutMs >= 1 && timeoutMs <= TIMER_MS_MAX) return;
  throw new PawlError(
    "invalid_option",
    `expected \`timeoutMs\` to be from 1 to ${TIMER_MS_MAX} milliseconds, got ${shown(timeoutMs)}`,
    { data: { option: "timeoutMs", value: timeoutMs } },
  );
}
