/** Express 4 and 5, Connect, and what else calls `(req, res, next)`. */

import type { IncomingMessage, ServerResponse } from "node:http";
import { answerRejected, checkMaxBytes, type ReceiveOptions, readVerified } from "./receive.ts";
import { keepVerified } from "./verified.ts";
import type { Verifier } from "./verifier.ts";

export type Middleware = (
  req: IncomingMessage,
  res: ServerResponse,
  next: (error?: unknown) => void,
) => void;

/**
 * A middleware that answers what is refused by itself, and lets the rest through: `verifiedOf(req, verifier)`
 * has what was verified. Put it before any parser of bodies.
 */
export function expressVerifier<Verified>(
  verifier: Verifier<Verified>,
  options: ReceiveOptions = {},
): Middleware {
  if (options.maxBytes !== undefined) checkMaxBytes(options.maxBytes);
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
