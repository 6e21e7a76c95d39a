/** Fastify 4 and 5, by the part of its interface that is used here. */

import type { IncomingHeaders } from "./headers.ts";
import { maxBytesOf, type ReceiveOptions, tooLarge } from "./receive.ts";
import { rejectedBody, WebhookRejected } from "./rejected.ts";
import { keepVerified } from "./verified.ts";
import type { Verifier } from "./verifier.ts";

export interface FastifyCall {
  body?: unknown;
  headers: Readonly<Record<string, string | string[] | undefined>>;
}

export interface FastifyAnswer {
  code(status: number): FastifyAnswer;
  header(name: string, value: string): FastifyAnswer;
  send(body: string): unknown;
}

export interface FastifyScope {
  removeAllContentTypeParsers(): void;
  addContentTypeParser(
    type: string,
    options: { parseAs: "buffer"; bodyLimit: number },
    parser: (request: unknown, body: Buffer, done: (error: null, body: Buffer) => void) => void,
  ): unknown;
  addHook(
    name: "preHandler",
    hook: (request: FastifyCall, reply: FastifyAnswer) => Promise<unknown>,
  ): unknown;
}

/**
 * Verifies the requests of all routes of `scope`: bodies stay bytes, refused requests are answered, and
 * `verifiedOf(request, verifier)` returns what was verified. Register a separate scope for these routes, because its body
 * parsers are replaced.
 */
export function verifyFastify<Verified>(
  scope: FastifyScope,
  verifier: Verifier<Verified>,
  options: ReceiveOptions = {},
): void {
  const maxBytes = maxBytesOf("verifyFastify", options);
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser("*", { parseAs: "buffer", bodyLimit: maxBytes }, (_, body, done) =>
    done(null, body),
  );
  scope.addHook("preHandler", async (request, reply) => {
    try {
      const body = bytesOf(request.body, maxBytes);
      const headers: IncomingHeaders = request.headers;
      keepVerified(request, verifier, await verifier.verify(body, headers));
      return undefined;
    } catch (error) {
      if (!(error instanceof WebhookRejected)) throw error;
      reply.code(error.status).header("content-type", "application/json").send(rejectedBody(error));
      return reply;
    }
  });
}

/** Without a body Fastify calls no parser. */
function bytesOf(body: unknown, maxBytes: number): Uint8Array {
  if (!(body instanceof Uint8Array)) return new Uint8Array(0);
  if (body.byteLength > maxBytes) throw tooLarge(maxBytes);
  return body;
}
