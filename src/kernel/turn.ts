/**
 * One turn with what can go wrong in it. A batch that the database refuses for its values is bisected until the bad
 * outcome stands alone, and that one is recorded without what could not be stored.
 */

import type { PawlError } from "../base/errors.ts";
import { errorToJson } from "../base/json.ts";
import type { PreparedExecutor } from "../store/executor.ts";
import { isDataFault, translateDatabaseError } from "../store/sqlstate.ts";
import type { Outcome } from "./outcome.ts";
import { type TurnRequest, type TurnRow, turn } from "./sql.ts";

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

/** @throws TurnFailed */
export async function settleAndClaim(
  executor: PreparedExecutor,
  request: TurnRequest,
): Promise<TurnRow[]> {
  try {
    return await turn(executor, request);
  } catch (thrown) {
    const error = translateDatabaseError(thrown);
    if (!isDataFault(error) || request.outcomes.length === 0)
      throw new TurnFailed(error, request.outcomes);
    const refused = await settleApart(executor, request, request.outcomes, error);
    return [...refused, ...(await settleAndClaim(executor, { ...request, outcomes: [] }))];
  }
}

async function settleApart(
  executor: PreparedExecutor,
  request: TurnRequest,
  outcomes: readonly Outcome[],
  fault: PawlError,
): Promise<TurnRow[]> {
  const [first] = outcomes;
  if (outcomes.length === 1 && first !== undefined) {
    return settleHalf(executor, request, [storableForm(first, fault)], true);
  }
  const middle = Math.ceil(outcomes.length / 2);
  const left = await settleHalf(executor, request, outcomes.slice(0, middle), false);
  return [...left, ...(await settleHalf(executor, request, outcomes.slice(middle), false))];
}

async function settleHalf(
  executor: PreparedExecutor,
  request: TurnRequest,
  outcomes: readonly Outcome[],
  isLastResort: boolean,
): Promise<TurnRow[]> {
  try {
    return await turn(executor, { ...request, outcomes, gone: [], limit: 0, shards: [] });
  } catch (thrown) {
    const error = translateDatabaseError(thrown);
    // what an earlier half recorded is found recorded when the whole is sent again
    if (isLastResort || !isDataFault(error)) throw new TurnFailed(error, request.outcomes);
    return settleApart(executor, request, outcomes, error);
  }
}

function storableForm(outcome: Outcome, fault: PawlError): Outcome {
  if (outcome.ok)
    return { ...outcome, result: JSON.stringify({ $notStored: errorToJson(fault).message }) };
  const name = outcome.error?.name ?? "Error";
  return {
    ...outcome,
    error: { name, message: `the error could not be stored: ${errorToJson(fault).message}` },
  };
}
