/** The statements of breakers, and their types. */

import type { ErrorJson } from "../../base/error-json.ts";
import type { Executor } from "../../store/executor.ts";

/** As the catalogue keeps it. */
export interface BreakerPolicy {
  failures: number;
  ratio: number;
  window_ms: number;
  open_ms: number;
  open_ms_max: number;
}

export interface BreakerReport {
  stream: number;
  ok: number;
  failed: number;
  /** Long-running attempts, each counted like two failures; negative: such attempts that have ended. */
  slow?: number;
  /** The receiver asked for a pause. */
  hold_ms: number | null;
  /** The error of the last failed attempt. */
  error: ErrorJson | null;
}

export interface BreakerChange {
  stream_id: number;
  phase: string;
  until: Date | null;
}

/** @returns the breakers whose phase has changed by it */
export function reportAttempts(
  executor: Executor,
  reports: readonly BreakerReport[],
): Promise<BreakerChange[]> {
  return executor.rows("select * from pawl.report_v1($1)", [JSON.stringify(reports)]);
}

/** Closes the breakers of streams that have no task left for a probe. @returns those that were open */
export function closeQuietBreakers(executor: Executor): Promise<BreakerChange[]> {
  return executor.rows("select * from pawl.close_quiet_breakers_v1()");
}
