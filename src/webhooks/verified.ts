/** Keeps what a middleware verified beside the request, and returns it with its type. */

import { PawlError } from "../base/errors.ts";
import type { Verifier } from "./verifier.ts";

const byRequest = new WeakMap<object, { verifier: unknown; value: unknown }>();

export function keepVerified<Verified>(
  request: object,
  verifier: Verifier<Verified>,
  value: Verified,
): void {
  byRequest.set(request, { verifier, value });
}

/**
 * Returns what `verifier` returned for this request, after its middleware or hook.
 *
 * @throws PawlError `invalid_option` if this verifier has not seen the request
 */
export function verifiedOf<Verified>(request: object, verifier: Verifier<Verified>): Verified {
  const kept = byRequest.get(request);
  if (kept?.verifier === verifier) return kept.value as Verified;
  throw new PawlError(
    "invalid_option",
    "verifiedOf: this verifier has not verified the request; put expressVerifier(verifier) before the handler, or verifyFastify(scope, verifier) around it",
    { data: { option: "verifier" } },
  );
}
