/**
 * One request and its answer. Invariants: it settles once, whatever undici still says afterwards; and when
 * it fails with `sent: "no"`, not one byte of the request was written. Speaks to undici one level below
 * `undici.request`, whose promise neither tells when the write begins nor ends at the deadline while a
 * connection is still being made.
 */

import type { Dispatcher } from "undici";
import { shownText } from "../base/charset.ts";
import type { PawlError } from "../base/errors.ts";
import type { AnswerHead } from "./connection/answer-head.ts";
import { ConnectError } from "./connection/connect-error.ts";
import type { Connector } from "./connection/connector.ts";
import type { ConnectPhases } from "./connection/tcp.ts";
import { addressForbidden } from "./guard/refusal.ts";
import type { HttpAnswer, HttpTimings } from "./http-answer.ts";
import { BrokenAnswer, faultReason, type HttpFaultReason, httpFault } from "./http-fault.ts";

const RESPONSE_BODY_BYTES_DEFAULT = 65_536;

export interface HttpRequest {
  url: string;
  method: string;
  headers: Record<string, string>;
  body: string | Uint8Array;
  /** Time limit of everything, from the call to the last byte of the answer. */
  timeoutMs: number;
  /** Maximum size of the answer's body; default 64 KiB. A longer one is cut, and its connection is destroyed. */
  responseBytesMax?: number;
  /**
   * Milliseconds since 1970: the request is not written after this time, for example because a token in it would have
   * expired.
   */
  sendByMs?: number;
  signal?: AbortSignal;
}

/** How a request reaches its receiver. */
export interface Route {
  dispatcher: Dispatcher;
  connector: Connector;
  /** The proxy that reads the request itself, instead of tunnelling it. */
  proxy?: { shown: string; headers: Record<string, string> };
}

const PROXY_AUTHENTICATION_REQUIRED = 407;
const SWITCHING_PROTOCOLS = 101;
/** RFC 9110 section 6.4.1: they have no content, whatever their `Content-Length` says. */
const WITHOUT_CONTENT: ReadonlySet<number> = new Set([204, 304]);

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
  #connector: Connector | undefined;
  readonly #head: AnswerHead = {};
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
    this.#connector = connector;
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
    const { sendByMs = Number.POSITIVE_INFINITY } = this.#request;
    if (Date.now() > sendByMs) {
      this.#fail(
        "timeout",
        undefined,
        "its token would expire too soon; check how long connecting takes, or give the token a longer ttl",
      );
    }
    if (this.#isSettled) controller.abort(new Error("given up before it was sent"));
    else {
      this.#controller = controller;
      this.#writtenAt = performance.now();
      this.#connector?.expect(this.#head);
    }
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status < 200) return;
    this.#head.status = status;
    this.#headers = joined(headers);
    this.#answeredAt = performance.now();
    if (this.#isOfProxy(status)) this.#onProxyRefusal();
    else if (WITHOUT_CONTENT.has(status)) this.#succeed(false);
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
    else if (this.#head.status === SWITCHING_PROTOCOLS) {
      this.#fail(
        "protocol",
        error,
        "answered 101: it switches to a protocol that nobody asked for",
      );
    } else this.#fail(faultReason(error), error);
  }

  #onNoConnection(error: ConnectError): void {
    if (error.refusal === undefined) this.#fail(error.reason, error.cause, error.detail);
    else if (this.#settle()) {
      this.#reject(addressForbidden(error.refusal, this.#url, { timings: this.#timings() }));
    }
  }

  /** Never an answer of the receiver: a code that stops its deliveries must not come from the proxy. */
  #isOfProxy(status: number): boolean {
    return this.#proxy !== undefined && status === PROXY_AUTHENTICATION_REQUIRED;
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

  #succeed(isTruncated: boolean): void {
    if (!this.#settle()) return;
    this.#resolve(this.#answerSoFar(this.#head.status ?? 0, isTruncated));
    if (isTruncated) this.#controller?.abort(new Error("the rest of the answer is not wanted"));
  }

  #fail(reason: HttpFaultReason, cause: unknown, detail?: string): void {
    if (!this.#settle()) return;
    const { status } = this.#head;
    const fault = {
      method: this.#request.method,
      url: this.#url,
      reason,
      sent: this.#controller === undefined ? "no" : "unknown",
      ...(detail === undefined ? {} : { detail }),
      ...(status === undefined ? {} : { status }),
      timings: this.#timings(),
      cause,
    } as const;
    const hasAnswered = status !== undefined && status >= 200 && !this.#isOfProxy(status);
    const error = hasAnswered
      ? new BrokenAnswer(fault, this.#answerSoFar(status, true))
      : httpFault(fault);
    this.#reject(error);
    this.#controller?.abort(error);
  }

  #answerSoFar(status: number, truncated: boolean): HttpAnswer {
    const timings = this.#timings();
    const bytes = Buffer.concat(this.#chunks);
    return {
      status,
      headers: this.#headers,
      body: shownText(bytes, { contentType: this.#headers["content-type"], isCut: truncated }),
      bytes,
      truncated,
      durationMs: timings.totalMs,
      timings: { firstByteMs: 0, ...timings },
    };
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
