/** Express 4 and 5, Connect, and everything else that calls `(req, res, next)`. */

import type { IncomingMessage, ServerResponse } from "node:http";
import { answerRejected, maxBytesOf, type ReceiveOptions, readVerified } from "./receive.ts";
import { keepVerified } from "./verified.ts";
import type { Verifier } from "./verifier.ts";

export type Middleware = (
  req: IncomingMessage,
  res: ServerResponse,
  next: (error?: unknown) => void,
) => void;

/**
 * Returns a middleware that verifies requests. It answers refused ones itself and passes the others on; then
 * `verifiedOf(req, verifier)` returns what was verified. Put it before all body parsers.
 */
export function expressVerifier<Verified>(
  verifier: Verifier<Verified>,
  options: ReceiveOptions = {},
): Middleware {
  maxBytesOf("expressVerifier", options);
  return (req, res, next) => {
    readVerified(req, verifier, options).then(
      (value) => {
        keepVerified(req, verifier, value);
        next();
      },
      (error: unknown) => {
        try {
          answerRejected(error, res);
        } catch (fault) {
          next(fault);
        }
      },
    );
  };
}
