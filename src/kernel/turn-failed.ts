/** A turn that did not come through: tried again, or the end of the lease. */

import { PawlError } from "../base/errors.ts";
import { messageOf } from "../base/thrown.ts";
import type { Outcome } from "./outcome.ts";

/** The turn failed for a passing reason, or because the lease is lost. `unsettled` is to be sent again. */
export class TurnFailed extends Error {
  readonly error: PawlError;
  readonly unsettled: readonly Outcome[];

  constructor(error: PawlError, unsettled: readonly Outcome[]) {
    super(error.message, { cause: error });
    this.error = error;
    this.unsettled = unsettled;
  }

  get isLost(): boolean {
    return this.error.code === "lease_lost";
  }
}

/** If a turn was broken off on this side, nobody knows what was recorded: the worker begins again. */
export function turnFailed(thrown: unknown): TurnFailed {
  if (thrown instanceof TurnFailed) return thrown;
  const message = `worker: a turn failed, so its tasks are left to others; ${messageOf(thrown)}`;
  return new TurnFailed(new PawlError("lease_lost", message, { cause: thrown }), []);
}
