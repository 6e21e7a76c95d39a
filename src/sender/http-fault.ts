/**
 * Names every way in which an HTTP exchange ends without an answer, and says whether the receiver can
 * have seen the request: `sent: "no"` only when not one byte of it was written.
 */

import { errors } from "undici";
import { PawlError } from "../base/errors.ts";
import { maskUrl } from "../base/mask.ts";
import type { HttpAnswer, HttpTimings } from "./http-answer.ts";

export type HttpFaultReason =
  | "timeout"
  | "refused"
  | "reset"
  | "tls"
  | "dns"
  | "unreachable"
  | "aborted"
  | "headers_too_large"
  | "protocol"
  | "invalid"
  | "forbidden"
  | "proxy"
  | "other";

export interface HttpFault {
  method: string;
  url: URL;
  reason: HttpFaultReason;
  /** `no`: certainly nothing was executed. `unknown`: it was, or was not. */
  sent: "no" | "unknown";
  /** What happened, for the message, when the reason alone does not say it. */
  detail?: string;
  /** The status, when only the rest of the answer was missing. */
  status?: number;
  /** Where the time went, as far as it is known. */
  timings?: Partial<HttpTimings>;
  cause?: unknown;
}

const REASON_BY_CODE: Record<string, HttpFaultReason> = {
  ECONNREFUSED: "refused",
  ECONNRESET: "reset",
  EPIPE: "reset",
  UND_ERR_SOCKET: "reset",
  ENOTFOUND: "dns",
  EAI_AGAIN: "dns",
  ETIMEDOUT: "timeout",
  UND_ERR_CONNECT_TIMEOUT: "timeout",
  UND_ERR_HEADERS_TIMEOUT: "timeout",
  UND_ERR_BODY_TIMEOUT: "timeout",
  EHOSTUNREACH: "unreachable",
  ENETUNREACH: "unreachable",
  EADDRNOTAVAIL: "unreachable",
  UND_ERR_HEADERS_OVERFLOW: "headers_too_large",
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: "protocol",
  UND_ERR_INVALID_ARG: "invalid",
  UND_ERR_NOT_SUPPORTED: "invalid",
  EPROTO: "tls",
};
const TLS_CODE =
  /^(CERT_|ERR_TLS_|ERR_SSL_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH|INVALID_CA|CRL_)/;

/** Those that a person can do something about at once; OpenSSL's words for the others are kept as the cause. */
const TLS_EXPLANATIONS: Record<string, string> = {
  CERT_HAS_EXPIRED: "the receiver's certificate has expired",
  CERT_NOT_YET_VALID: "the receiver's certificate is not valid yet; check the clocks",
  DEPTH_ZERO_SELF_SIGNED_CERT:
    "the receiver's certificate is self-signed; if it is intended, give it as `http.ca`",
  SELF_SIGNED_CERT_IN_CHAIN:
    "the receiver's certificate comes from an authority that is not trusted; if it is intended, give the authority's as `http.ca`",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    "the receiver's certificate comes from an authority that is not trusted; if it is intended, give the authority's as `http.ca`",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    "the receiver's certificate comes from an authority that is not trusted, or without the rest of its chain; if it is intended, give the authority's as `http.ca`",
  ERR_TLS_CERT_ALTNAME_INVALID: "the receiver's certificate is for another host",
};

const EXPLANATIONS: Record<HttpFaultReason, string> = {
  timeout: "no complete answer in time; check the receiver, or raise the timeout",
  refused: "connection refused; check that the receiver runs and that the port is right",
  reset: "the connection was closed before the answer was complete",
  tls: "no trusted TLS connection; check the receiver's certificate and host name",
  dns: "the host name was not found; check the name and the DNS of this machine",
  unreachable: "the host cannot be reached; check the network and the firewall",
  aborted: "stopped by us before the answer was complete",
  headers_too_large: "the headers of the answer are too large",
  protocol: "the answer is not valid HTTP; check that the port speaks it",
  forbidden: "the host is not of the public internet",
  proxy: "the proxy did not let the request through; check its URL and credentials",
  invalid: "the request cannot be written as HTTP; check its method and headers",
  other: "the exchange failed",
};

/** The receiver has answered, and only the rest of its answer is missing or wrong. */
export class BrokenAnswer extends PawlError {
  /** As much of it as came; without headers when they broke off. */
  readonly answer: HttpAnswer;
  /** What was wrong with the rest. */
  readonly trouble: string;

  constructor(fault: HttpFault, answer: HttpAnswer) {
    const { message, data, cause } = httpFault(fault);
    super("http_failed", message, { data, cause });
    this.answer = answer;
    this.trouble = explain(fault);
  }
}

export function httpFault(fault: HttpFault): PawlError {
  const url = maskUrl(fault.url);
  const sent = fault.sent === "no" ? "nothing was sent" : "it was sent, its effect is unknown";
  const answered = (fault.status ?? 0) < 200 ? "" : `answered ${fault.status}, then `;
  const code = errorCode(fault.cause);
  const more = {
    ...(fault.status !== undefined && { status: fault.status }),
    ...(fault.timings !== undefined && { timings: fault.timings }),
    ...(code !== "" && { errorCode: code }),
  };
  const message = `${fault.method} ${url}: ${answered}${explain(fault)} (${sent})`;
  return new PawlError("http_failed", message, {
    data: { url, method: fault.method, reason: fault.reason, sent: fault.sent, ...more },
    cause: fault.cause,
  });
}

function explain({ detail, reason }: HttpFault): string {
  return detail ?? EXPLANATIONS[reason];
}

/** The reason behind an error of Node's sockets, of TLS or of undici. */
export function faultReason(error: unknown): HttpFaultReason {
  const code = errorCode(error);
  if (TLS_CODE.test(code)) return "tls";
  // Its own code is not always set.
  if (error instanceof errors.HTTPParserError) return "protocol";
  return REASON_BY_CODE[code] ?? "other";
}

/** Returns undefined if the fault is not one of a certificate. */
export function explainTls(error: unknown): string | undefined {
  return TLS_EXPLANATIONS[errorCode(error)];
}

function errorCode(error: unknown): string {
  if (error === null || typeof error !== "object" || !("code" in error)) return "";
  return typeof error.code === "string" ? error.code : "";
}
