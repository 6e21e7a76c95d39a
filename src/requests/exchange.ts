/**
 * One request and its answer. Invariants: it settles once, whatever undici still says afterwards; and when
 * it fails with `sent: "no"`, not one byte of the request was written. Speaks to undici one level below
 * `undici.request`, whose promise neither tells when the write begins nor ends at the deadline while a
 * connection is still being made.
 */

import type { Agent, Dispatcher } from "undici";
import type { PawlError } from "../base/errors.ts";
import { faultReason, type HttpFaultReason, httpFault } from "./http-fault.ts";

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
}

export class Exchange implements Dispatcher.DispatchHandler {
  readonly answer: Promise<HttpAnswer>;
  readonly #request: HttpRequest;
  readonly #url: URL;
  readonly #startedAt = performance.now();
  readonly #bytesMax: number;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
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

  start(agent: Agent): void {
    const { signal, timeoutMs, method, headers, body } = this.#request;
    if (signal?.aborted === true) {
      this.#fail("aborted", signal.reason);
      return;
    }
    signal?.addEventListener("abort", this.#onAbort, { once: true });
    this.#timer = setTimeout(() => this.#onDeadline(), timeoutMs);
    const { origin, pathname, search } = this.#url;
    try {
      agent.dispatch({ origin, path: `${pathname}${search}`, method, headers, body }, this);
    } catch (error) {
      this.#fail(faultReason(error), error);
    }
  }

  /** The connection stands and the next step is the write. A request that was given up is not written. */
  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.#isSettled) controller.abort(new Error("given up before it was sent"));
    else this.#controller = controller;
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status < 200) return;
    this.#status = status;
    this.#headers = joined(headers);
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
    this.#fail(faultReason(error), error);
  }

  #onDeadline(): void {
    const after = `no complete answer within ${this.#request.timeoutMs} ms; check the receiver, or raise the timeout`;
    this.#fail("timeout", undefined, after);
  }

  readonly #onAbort = (): void => this.#fail("aborted", this.#request.signal?.reason);

  #succeed(truncated: boolean): void {
    if (!this.#settle() || this.#status === undefined) return;
    this.#resolve({
      status: this.#status,
      headers: this.#headers,
      // Streaming, so that a character cut in half at the limit is left out.
      body: new TextDecoder().decode(Buffer.concat(this.#chunks), { stream: truncated }),
      truncated,
      durationMs: Math.round(performance.now() - this.#startedAt),
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
      cause,
    });
    this.#reject(fault);
    this.#controller?.abort(fault);
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
