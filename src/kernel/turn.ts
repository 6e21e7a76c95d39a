/**
 * One turn, and what can go wrong in it. A batch that the database refuses for its values is halved until the bad outcome
 * stands alone; that one is recorded without what could not be stored. If somebody has locked a row, the outcomes that need
 * it are found in the same way and left out. No outcome is sent for ever.
 */

import { errorToJson } from "../base/error-json.ts";
import { PawlError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { PreparedExecutor } from "../store/executor.ts";
import { isLockRefused, translateDatabaseError } from "../store/sqlstate.ts";
import type { FailureKind, Outcome } from "./outcome.ts";
import { heldTasks, type TurnRequest, type TurnRow, turn } from "./sql.ts";
import { TurnFailed } from "./turn-failed.ts";

/** Connections, resources, locks, serialization, rights and the server itself: the same outcomes may pass later. */
const PASSING = /^(08|25|28|40|42501|53|55|57|58)/;
/** If locks hold them up, single outcomes are tried for this long in total; then the rest waits aside untried. */
const APART_MS = 3_000;
/** For an outcome whose own delay, or policy, may be at fault. */
const PLAIN_DELAY_MS = 60_000;

/** No turn has come through for the length of a lease. */
export function letGo(error: PawlError): PawlError {
  return new PawlError(
    "lease_lost",
    `worker: no turn succeeded for the length of its lease, so its tasks are left to others; ${error.message}`,
    { cause: error },
  );
}

export type Dropped = Map<Outcome, PawlError>;

export function tellDropped(log: Logger, dropped: Dropped): void {
  for (const [{ task }, error] of dropped) {
    log.error(
      { task: task.id, attempt: task.attempt, err: error.message },
      "the database refuses to record how an attempt ended: the task is given back when this worker ends",
    );
  }
}

interface Settling extends TurnRequest {
  /** Called with the outcomes that a lock keeps from being recorded; without it they fail the turn. */
  held?: Set<Outcome> | undefined;
  /** Called with the outcomes that the database refuses in every form: their tasks stay in their claims until the worker ends. */
  dropped?: Dropped;
  /** From this time on no outcome is tried alone, by this process's steady clock. */
  apartUntil?: number;
}

/** @throws TurnFailed */
export async function settleAndClaim(
  executor: PreparedExecutor,
  given: Settling,
): Promise<TurnRow[]> {
  const request = {
    ...given,
    dropped: given.dropped ?? (new Map() as Dropped),
    apartUntil: performance.now() + APART_MS,
  };
  try {
    return await turn(executor, request);
  } catch (thrown) {
    const error = translateDatabaseError(thrown);
    const isLocked = given.held !== undefined && isLockRefused(error);
    if (!isDivisible(error, request) || (request.outcomes.length === 0 && !isLocked))
      throw new TurnFailed(error, request.outcomes);
    const refused =
      request.outcomes.length === 0 ? [] : await settleInParts(executor, request, error);
    const rest = { ...without(without(request, request.held), request.dropped), outcomes: [] };
    try {
      return [...refused, ...(await lessAndLess(executor, rest))];
    } catch (again) {
      // what was recorded is found recorded when it is sent again
      throw new TurnFailed(translateDatabaseError(again), request.outcomes);
    }
  }
}

async function settleInParts(
  executor: PreparedExecutor,
  request: Settling,
  error: PawlError,
): Promise<TurnRow[]> {
  const free = await withoutHeld(executor, request);
  return free.length === request.outcomes.length
    ? settleApart(executor, request, free, error)
    : settleHalf(executor, request, free);
}

/**
 * If somebody has locked something else that a turn needs: leaves out the ends of claims, which the heartbeat makes up for,
 * then the claiming, so that outcomes are recorded all the same.
 */
async function lessAndLess(executor: PreparedExecutor, rest: Settling): Promise<TurnRow[]> {
  const claimsOnly = { ...rest, gone: [] };
  for (const less of [rest, claimsOnly]) {
    try {
      return await turn(executor, less);
    } catch (thrown) {
      if (rest.held === undefined || !isLockRefused(translateDatabaseError(thrown))) throw thrown;
    }
  }
  return turn(executor, { ...claimsOnly, limit: 0, shards: [] });
}

/** What is left of a turn whose other outcomes are held: a claim goes only when all of its outcomes are recorded. */
export function without<T extends Pick<TurnRequest, "outcomes" | "gone">>(
  request: T,
  held: ReadonlySet<Outcome> | ReadonlyMap<Outcome, unknown> | undefined,
): T {
  if (held === undefined || held.size === 0) return request;
  const claims = new Set(Array.from(held.keys(), ({ task }) => task.claim));
  return {
    ...request,
    outcomes: request.outcomes.filter((outcome) => !held.has(outcome)),
    gone: request.gone.filter((no) => !claims.has(no)),
  };
}

function isDivisible(error: PawlError, { held }: Settling): boolean {
  return isOutcomesFault(error) || (held !== undefined && isLockRefused(error));
}

/** True for an error about the values that were sent, not about the server, a lock, a connection or a right. */
function isOutcomesFault(error: PawlError): boolean {
  const state = error.data.sqlstate;
  return error.code === "database_error" && typeof state === "string" && !PASSING.test(state);
}

/** Mostly the tasks' own rows are locked: one query finds them all. */
async function withoutHeld(
  executor: PreparedExecutor,
  { outcomes, held }: Settling,
): Promise<readonly Outcome[]> {
  if (held === undefined) return outcomes;
  const ids = await heldTasks(
    executor,
    outcomes.map(({ task }) => task.id),
  ).catch((error: unknown) => {
    throw new TurnFailed(translateDatabaseError(error), outcomes);
  });
  for (const outcome of outcomes) if (ids.includes(outcome.task.id)) held.add(outcome);
  return outcomes.filter((outcome) => !held.has(outcome));
}

async function settleApart(
  executor: PreparedExecutor,
  request: Settling,
  outcomes: readonly Outcome[],
  fault: PawlError,
): Promise<TurnRow[]> {
  const [first] = outcomes;
  if (outcomes.length === 1 && first !== undefined && isLockRefused(fault)) {
    request.held?.add(first);
    return [];
  }
  if (outcomes.length === 1 && first !== undefined)
    return settleAlone(executor, request, first, fault);
  const middle = Math.ceil(outcomes.length / 2);
  const left = await settleHalf(executor, request, outcomes.slice(0, middle));
  return [...left, ...(await settleHalf(executor, request, outcomes.slice(middle)))];
}

async function settleHalf(
  executor: PreparedExecutor,
  request: Settling,
  outcomes: readonly Outcome[],
): Promise<TurnRow[]> {
  if (outcomes.length === 0) return [];
  if (request.held !== undefined && performance.now() > (request.apartUntil ?? Infinity)) {
    for (const outcome of outcomes) request.held.add(outcome);
    return [];
  }
  const answer = await settle(executor, request, outcomes);
  return Array.isArray(answer) ? answer : settleApart(executor, request, outcomes, answer);
}

/** Tries one form after the other, each with fewer values that could be at fault. */
async function settleAlone(
  executor: PreparedExecutor,
  request: Settling,
  outcome: Outcome,
  fault: PawlError,
): Promise<TurnRow[]> {
  let answer: TurnRow[] | PawlError = fault;
  for (const form of FORMS) {
    answer = await settle(executor, request, [form(outcome, answer)]);
    if (Array.isArray(answer)) return answer;
    if (isLockRefused(answer)) request.held?.add(outcome);
    if (isLockRefused(answer)) return [];
  }
  request.dropped?.set(outcome, answer);
  return [];
}

/** Returns the fault if it is the outcomes' own, or a lock's. @throws TurnFailed for any other trouble */
async function settle(
  executor: PreparedExecutor,
  request: Settling,
  outcomes: readonly Outcome[],
): Promise<TurnRow[] | PawlError> {
  try {
    return await turn(executor, { ...request, outcomes, gone: [], limit: 0, shards: [] });
  } catch (thrown) {
    const error = translateDatabaseError(thrown);
    // what an earlier half recorded is found recorded when the whole is sent again
    if (!isDivisible(error, request)) throw new TurnFailed(error, request.outcomes);
    return error;
  }
}

type Form = (outcome: Outcome, fault: PawlError) => Outcome;

const FORMS: readonly Form[] = [withoutValues, asRetry, asDead];

/** Its end as it was, without the result or error that may be at fault, and at the time that the policy says. */
function withoutValues(outcome: Outcome, fault: PawlError): Outcome {
  const { message } = errorToJson(fault);
  if (outcome.ok) return { ...outcome, result: JSON.stringify({ $notStored: message }) };
  const { task, kind, error } = outcome;
  if (error === null) return { ok: false, task, kind, error: null };
  const said = `the error could not be stored: ${message}`;
  return { ok: false, task, kind, error: { name: error.name, message: said } };
}

/** A task that was done stays done; any other is retried after a plain delay. */
function asRetry(outcome: Outcome, fault: PawlError): Outcome {
  if (outcome.ok) return { ...outcome, result: null };
  return plainFailure(outcome.task, { kind: "retry", delayMs: PLAIN_DELAY_MS, fault });
}

/** A dead letter, for a person to look at; no policy is involved. */
function asDead({ task }: Outcome, fault: PawlError): Outcome {
  return plainFailure(task, { kind: "unrecoverable", fault });
}

function plainFailure(
  task: Outcome["task"],
  { fault, ...how }: { kind: FailureKind; delayMs?: number; fault: PawlError },
): Outcome {
  const message = `the attempt's outcome could not be recorded: ${errorToJson(fault).message}`;
  return { ok: false, task, ...how, error: { name: "PawlError", message } };
}
