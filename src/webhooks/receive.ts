/**
 * Reads and verifies calls on Node's own http server, or on frameworks built on it (Express, Connect, Koa's `ctx.req`). The
 * body is read raw, up to a limit: a signature is over bytes, not over what a parser made of them.
 */

import type { IncomingMessage, ServerResponse } from "node:http";
import { PawlError, shown } from "../base/errors.ts";
import { refuseUnknownOptions } from "../base/options.ts";
import { rejectedBody, WebhookRejected } from "./rejected.ts";
import type { Verifier } from "./verifier.ts";

/** Enough for the largest event of an app with Pawl's defaults: payload and meta of 1 MiB each, and the envelope. */
const BODY_BYTES_DEFAULT = 4_194_304;

export interface ReceiveOptions {
  /** Maximum size of the body; default 4 MiB. If the sender raised `maxPayloadBytes`: twice that, plus 64 KiB. */
  maxBytes?: number;
}

/** What frameworks may have put on a request: the body as bytes, or as what a parser made of it. */
interface MaybeParsed {
  body?: unknown;
  rawBody?: unknown;
}

/**
 * Reads the body of a request and verifies it.
 *
 * @throws WebhookRejected with `reason` and `status`; PawlError `invalid_option` if a body parser ran before
 */
export async function readVerified<Verified>(
  req: IncomingMessage,
  verifier: Verifier<Verified>,
  options: ReceiveOptions = {},
): Promise<Verified> {
  const maxBytes = maxBytesOf("readVerified", options);
  return verifier.verify(
    bytesAlreadyRead(req, maxBytes) ?? (await readBody(req, maxBytes)),
    req.headers,
  );
}

/** Answers a refused call with its status. @throws any other error again */
export function answerRejected(error: unknown, res: ServerResponse): void {
  if (!(error instanceof WebhookRejected)) throw error;
  res.writeHead(error.status, { "content-type": "application/json" }).end(rejectedBody(error));
}

/** @throws PawlError `invalid_option` */
export function maxBytesOf(where: string, options: ReceiveOptions): number {
  refuseUnknownOptions(where, options, ["maxBytes"]);
  const { maxBytes = BODY_BYTES_DEFAULT } = options;
  if (Number.isSafeInteger(maxBytes) && maxBytes >= 1) return maxBytes;
  throw new PawlError(
    "invalid_option",
    `expected \`maxBytes\` to be an integer from 1, got ${shown(maxBytes)}`,
    { data: { option: "maxBytes" } },
  );
}

export function tooLarge(maxBytes: number): WebhookRejected {
  return new WebhookRejected("too_large", `webhook: the body is larger than ${maxBytes} bytes`);
}

function bytesAlreadyRead(
  req: IncomingMessage & MaybeParsed,
  maxBytes: number,
): Uint8Array | undefined {
  const bytes = [req.rawBody, req.body].find((one) => one instanceof Uint8Array);
  if (bytes instanceof Uint8Array) {
    if (bytes.byteLength > maxBytes) throw tooLarge(maxBytes);
    return bytes;
  }
  if (!req.readableDidRead && !req.readableEnded) return undefined;
  throw new PawlError(
    "invalid_option",
    "webhook: the body was already read by a parser, and its signature is over the raw bytes; verify before express.json() and the like, or keep the bytes as `req.rawBody`",
    { data: { option: "body" } },
  );
}

function readBody(req: IncomingMessage, maxBytes: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const settle = (error?: unknown): void => {
      req.off("data", onData).off("end", onEnd).off("error", onCut).off("close", onCut);
      if (error === undefined) resolve(Buffer.concat(chunks));
      else reject(error as Error);
    };
    const onData = (chunk: Buffer): void => {
      bytes += chunk.length;
      if (bytes <= maxBytes) {
        chunks.push(chunk);
        return;
      }
      settle(tooLarge(maxBytes));
      // The rest is thrown away as it comes: closing now could destroy the answer on its way.
      req.on("error", () => undefined).resume();
    };
    const onEnd = (): void => settle();
    const onCut = (): void =>
      settle(new WebhookRejected("malformed", "webhook: the connection ended before the body"));
    req.on("data", onData).on("end", onEnd).on("error", onCut).on("close", onCut);
  });
}
