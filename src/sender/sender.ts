/**
 * Sends HTTP requests over shared connections that are kept alive and limited in number: only to hosts of the public
 * internet and those that the app permits; one deadline over connect, TLS, headers and body; no redirects; answers of
 * limited size.
 */

import { TIMER_MS_MAX } from "../base/duration.ts";
import { PawlError, shown } from "../base/errors.ts";
import { maskUrl } from "../base/mask.ts";
import { openConnector } from "./connection/connector.ts";
import { noProxy, noProxyVariable } from "./connection/no-proxy.ts";
import { type OriginPools, openPools } from "./connection/pools.ts";
import { proxyReader } from "./connection/proxy.ts";
import { trustWith } from "./connection/trust.ts";
import { Exchange, type HttpRequest } from "./exchange.ts";
import { type Guard, openGuard, portOf } from "./guard/guard.ts";
import { addressForbidden } from "./guard/refusal.ts";
import type { HttpAnswer } from "./http-answer.ts";
import { SENDER, type SenderOptions } from "./options.ts";

export type { HttpRequest } from "./exchange.ts";
export { refuseForbiddenUrl } from "./guard/guard.ts";
export type { HttpAnswer, HttpTimings } from "./http-answer.ts";
export { SENDER, type SenderOptions } from "./options.ts";

export interface HttpSender {
  /**
   * Sends one request. Any answer is a result, whatever its status.
   *
   * @throws PawlError `http_failed` with `{ url, method, reason, sent, timings, status?, errorCode? }`: with `status` the
   * receiver has answered, and the rest of the answer broke off, was not HTTP or did not end in time; `address_forbidden`
   * with `{ url, host, address?, reason: "forbidden", sent: "no" }`; `invalid_url`, `invalid_option`, `invalid_environment`
   * for a request that cannot be sent at all
   */
  send(request: HttpRequest): Promise<HttpAnswer>;
  /** Checks hosts for connections of other protocols. Without a guard every host is permitted. */
  readonly guard?: Guard;
  /** Waits for running requests, then closes all connections. A later `send` opens new ones. */
  close(): Promise<void>;
}

/** @throws PawlError `invalid_option` naming the option, as in `http.allow[2]` */
export function openSender(options: SenderOptions = {}): HttpSender {
  SENDER.read(options, { label: "`http`", option: "http" });
  const guard = openGuard(options.allow ?? []);
  const proxy = proxyReader(options.proxy, noProxy(options.noProxy, noProxyVariable()));
  const trust = trustWith(options.ca);
  const connector = openConnector({ guard, proxy, trust, lookup: options.lookup });
  let pools: OriginPools | undefined;
  const pending = new Set<Promise<HttpAnswer>>();
  return {
    guard,
    async send(request) {
      const url = httpUrl(request.url);
      checkTimeout(request.timeoutMs);
      pools ??= openPools(connector.connect);
      const origin = pools.of(url, () => refuseHost(guard, url));
      const through = proxy(url.hostname, portOf(url));
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
