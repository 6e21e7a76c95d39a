/** The answer of an HTTP exchange, and how long its steps took. */

export interface HttpAnswer {
  status: number;
  /** Names in lower case; repeated headers joined by ", ". */
  headers: Record<string, string>;
  /** The body as text, decoded by its content type; what cannot be decoded becomes U+FFFD. */
  body: string;
  /** The body as received. Only senders made for tests leave it out. */
  bytes?: Uint8Array;
  /** True if the body was longer than `responseBytesMax`, or broke off. */
  truncated: boolean;
  durationMs: number;
  /** How long its steps took. */
  timings: HttpTimings;
}

/** Milliseconds. Steps that did not happen are left out, such as the lookup on a reused connection. */
export interface HttpTimings {
  /** Waiting for a free connection. */
  queueMs?: number;
  dnsMs?: number;
  /** TCP, and the proxy's tunnel. */
  connectMs?: number;
  tlsMs?: number;
  /** From the write of the request to the answer's headers. */
  firstByteMs: number;
  totalMs: number;
}
