/** The statements of breakers, and what they are made of. */

import type { ErrorJson } from "../../base/json.ts";
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
  /** The receiver asked for a pause. */
  hold_ms: number | null;
  /** Of the last that failed. */
  error: ErrorJson | null;
}

/** @returns the breakers whose phase has changed by it */
export function reportAttempts(
  executor: Executor,
  reports: readonly BreakerReport[],
): Promise<{ stream_id: number; phase: string; until: Date | null }[]> {
  return executor.rows("select * from pawl.report_v1($1)", [JSON.stringify(reports)]);
}
