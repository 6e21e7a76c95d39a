/**
 * One request and its answer. Invariants: it settles once, whatever undici still says afterwards; and when
 * it fails with `sent: "no"`, not one byte of the request was written. Speaks to undici one level below
 * `undici.request`, whose promise neither tells when the write begins nor ends at the deadline while a
 * connection is still being made.
 */

import type { Dispatcher } from "undici";
import type { PawlError } from "../base/errors.ts";
import { ConnectError } from "./connection/connect-error.ts";
import type { Connector } from "./connection/connector.ts";
import type { ConnectPhases } from "./connection/tcp.ts";
import { addressForbidden } from "./guard/refusal.ts";
import { faultReason, type HttpFaultReason, type HttpTimings, httpFault } from "./http-fault.ts";

export type { HttpTimings } from "./http-fault.ts";

export const RESPONSE_BODY_BYTES_DEFAULT = 65_536;

export interface HttpRequest {
  url: string;
  method: string;
  headers: Record<string, string>;
  body: string | Uint8Array;
  /** Over everything, from the call to the last byte of the answer. */
  timeoutMs: number;
  /** Default 64 KiB; what is longer is cut, and its connection destroyed. */
  responseBytesMax?: number;
  signal?: AbortSignal;
}

export interface HttpAnswer {
  status: number;
  /** Names in lower case; repeated headers joined by ", ". */
  headers: Record<string, string>;
  body: string;
  /** The body was longer than `responseBytesMax`. */
  truncated: boolean;
  durationMs: number;
  /** Where that time went. */
  timings: HttpTimings;
}

/** How a request reaches its receiver. */
export interface Route {
  dispatcher: Dispatcher;
  connector: Connector;
  /** The proxy that reads the request itself, instead of tunnelling it. */
  proxy?: { shown: string; headers: Record<string, string> };
}

const PROXY_AUTHENTICATION_REQUIRED = 407;

export class Exchange implements Dispatcher.DispatchHandler {
  readonly answer: Promise<HttpAnswer>;
  readonly #request: HttpRequest;
  readonly #url: URL;
  readonly #startedAt = performance.now();
  readonly #bytesMax: number;
  readonly #phases: ConnectPhases = {};
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #writtenAt: number | undefined;
  #answeredAt: number | undefined;
  #proxy: Route["proxy"];
  #status: number | undefined;
  #headers: Record<string, string> = {};
  #controller: Dispatcher.DispatchController | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isSettled = false;
  #resolve: (answer: HttpAnswer) => void = () => {};
  #reject: (error: PawlError) => void = () => {};

  constructor(request: HttpRequest, url: URL) {
    this.#request = request;
    this.#url = url;
    this.#bytesMax = request.responseBytesMax ?? RESPONSE_BODY_BYTES_DEFAULT;
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  start({ dispatcher, connector, proxy }: Route): void {
    const { signal, timeoutMs, method, body } = this.#request;
    if (signal?.aborted === true) {
      this.#fail("aborted", signal.reason);
      return;
    }
    if (method.toUpperCase() === "CONNECT") {
      this.#fail(
        "invalid",
        undefined,
        "CONNECT opens a tunnel and has no answer; use another method",
      );
      return;
    }
    signal?.addEventListener("abort", this.#onAbort, { once: true });
    this.#timer = setTimeout(() => this.#onDeadline(), timeoutMs);
    this.#proxy = proxy;
    const { origin, pathname, search } = this.#url;
    const path = `${proxy === undefined ? "" : origin}${pathname}${search}`;
    const headers = { ...this.#request.headers, ...proxy?.headers };
    try {
      connector.measure(this.#phases, () => {
        dispatcher.dispatch({ path, method, headers, body }, this);
      });
    } catch (error) {
      this.#fail(faultReason(error), error);
    }
  }

  /** The connection stands and the next step is the write. A request that was given up is not written. */
  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.#isSettled) controller.abort(new Error("given up before it was sent"));
    else {
      this.#controller = controller;
      this.#writtenAt = performance.now();
    }
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status < 200) return;
    this.#status = status;
    this.#headers = joined(headers);
    this.#answeredAt = performance.now();
    // Never an answer of the receiver: a code that stops its deliveries must not come from the proxy.
    if (this.#proxy !== undefined && status === PROXY_AUTHENTICATION_REQUIRED)
      this.#onProxyRefusal();
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#isSettled) return;
    const room = this.#bytesMax - this.#bytes;
    this.#chunks.push(chunk.subarray(0, room));
    this.#bytes += Math.min(chunk.length, room);
    if (chunk.length > room) this.#succeed(true);
  }

  onResponseEnd(): void {
    this.#succeed(false);
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (error instanceof ConnectError) this.#onNoConnection(error);
    else this.#fail(faultReason(error), error);
  }

  #onNoConnection(error: ConnectError): void {
    if (error.refusal === undefined) this.#fail(error.reason, error.cause, error.detail);
    else if (this.#settle()) {
      this.#reject(addressForbidden(error.refusal, this.#url, { timings: this.#timings() }));
    }
  }

  #onProxyRefusal(): void {
    const detail = `the proxy ${this.#proxy?.shown} wants other credentials (status 407); check \`http.proxy\``;
    this.#fail("proxy", undefined, detail);
  }

  #onDeadline(): void {
    const after = `no complete answer within ${this.#request.timeoutMs} ms; check the receiver, or raise the timeout`;
    this.#fail("timeout", undefined, after);
  }

  readonly #onAbort = (): void => this.#fail("aborted", this.#request.signal?.reason);

  #succeed(truncated: boolean): void {
    if (!this.#settle() || this.#status === undefined) return;
    const timings = this.#timings();
    this.#resolve({
      status: this.#status,
      headers: this.#headers,
      // Streaming, so that a character cut in half at the limit is left out.
      body: new TextDecoder().decode(Buffer.concat(this.#chunks), { stream: truncated }),
      truncated,
      durationMs: timings.totalMs,
      timings: { firstByteMs: 0, ...timings },
    });
    if (truncated) this.#controller?.abort(new Error("the rest of the answer is not wanted"));
  }

  #fail(reason: HttpFaultReason, cause: unknown, detail?: string): void {
    if (!this.#settle()) return;
    const fault = httpFault({
      method: this.#request.method,
      url: this.#url,
      reason,
      sent: this.#controller === undefined ? "no" : "unknown",
      ...(detail === undefined ? {} : { detail }),
      ...(this.#status === undefined ? {} : { status: this.#status }),
      timings: this.#timings(),
      cause,
    });
    this.#reject(fault);
    this.#controller?.abort(fault);
  }

  #timings(): Partial<HttpTimings> & { totalMs: number } {
    const { hasBegun, dnsMs, connectMs, tlsMs } = this.#phases;
    const now = performance.now();
    const [written, answered] = [this.#writtenAt, this.#answeredAt];
    const untilWrite = (written ?? now) - this.#startedAt;
    const queueMs = untilWrite - (dnsMs ?? 0) - (connectMs ?? 0) - (tlsMs ?? 0);
    return {
      // While a connection is still being made, what has passed is not waiting.
      ...((written !== undefined || hasBegun !== true) && { queueMs: Math.round(queueMs) }),
      ...(dnsMs !== undefined && { dnsMs: Math.round(dnsMs) }),
      ...(connectMs !== undefined && { connectMs: Math.round(connectMs) }),
      ...(tlsMs !== undefined && { tlsMs: Math.round(tlsMs) }),
      ...(written !== undefined &&
        answered !== undefined && { firstByteMs: Math.round(answered - written) }),
      totalMs: Math.round(now - this.#startedAt),
    };
  }

  #settle(): boolean {
    if (this.#isSettled) return false;
    this.#isSettled = true;
    clearTimeout(this.#timer);
    this.#request.signal?.removeEventListener("abort", this.#onAbort);
    return true;
  }
}

function joined(headers: Record<string, string | string[] | undefined>): Record<string, string> {
  const entries = Object.entries(headers).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.join(", ") : (value ?? ""),
  ]);
  return Object.fromEntries(entries) as Record<string, string>;
}
