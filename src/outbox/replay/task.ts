/**
 * The task that works a replay off. Each step makes deliveries and moves the replay's cursor in one transaction of the
 * database, which also keeps the rate: so a task that was killed, or ran twice, neither doubles nor leaves out any.
 */

import { setTimeout as wait } from "node:timers/promises";
import type { PawlError } from "../../base/errors.ts";
import { InvalidPayload, type TaskContext, type TaskHandler } from "../../kernel/task.ts";
import { Recoverable, Snooze } from "../../kernel/thrown.ts";
import type { Executor } from "../../store/executor.ts";
import { isTimedOut } from "../../store/limited.ts";
import { isTransient, translateDatabaseError } from "../../store/sqlstate.ts";
import { STEP_MS, stepReplay } from "./sql.ts";

/** Of Pawl's own tasks. */
export const OWN_QUEUE = "pawl";
const REPLAY_KIND = "pawl:replay";
/** Looked through in one step, whether they are selected or not. */
const SCAN_MAX = 5_000;
/** After a step that took too long: the conditions of the routes may be slow. */
const SCAN_SLOW_MAX = 50;
/** After so long it lets go of its slot, so that a switch or the worker's stop finds it between two attempts. */
const TURN_MS = 10_000;
/** A longer wait is not sat out in a slot. */
const WAIT_MS_MAX = 2_000;
const TIMEOUT_MS = 300_000;

export function replayHandler(executor: Executor): TaskHandler {
  return {
    queue: OWN_QUEUE,
    kind: REPLAY_KIND,
    version: 1,
    timeoutMs: TIMEOUT_MS,
    run: (payload, context) => workOff(executor, replayId(payload), context),
  };
}

async function workOff(
  executor: Executor,
  id: string,
  { signal }: TaskContext,
): Promise<{ replay: string }> {
  const startedAt = performance.now();
  for (;;) {
    signal.throwIfAborted();
    const { wait_ms } = await step(executor, id);
    if (wait_ms === null) return { replay: id };
    if (wait_ms > WAIT_MS_MAX || performance.now() - startedAt > TURN_MS) {
      throw new Snooze(Math.max(wait_ms, 1));
    }
    await wait(wait_ms, undefined, { signal });
  }
}

async function step(executor: Executor, id: string): ReturnType<typeof stepReplay> {
  try {
    return await stepReplay(executor, id, SCAN_MAX).catch((thrown: unknown) => {
      if (!isTimedOut(thrown)) throw thrown;
      return stepReplay(executor, id, SCAN_SLOW_MAX);
    });
  } catch (thrown) {
    if (isTimedOut(thrown)) throw new Error(tookTooLong(id), { cause: thrown });
    const error: PawlError = translateDatabaseError(thrown);
    // the database's troubles do not use up a replay's attempts
    if (isTransient(error)) throw new Recoverable(error.message, { cause: error });
    throw error;
  }
}

function tookTooLong(id: string): string {
  return `replay ${id}: looking through ${SCAN_SLOW_MAX} events took longer than ${STEP_MS} ms: a condition of a route is slow for one of them, or something is locked; see \`pawl routes list\``;
}

function replayId(payload: unknown): string {
  const id = (payload as { replay?: unknown } | null)?.replay;
  if (typeof id === "number") return String(id);
  throw new InvalidPayload("replay: its payload names no replay");
}
