/** Statements of processes. The work is in the functions of `src/process/sql`. */

import type { Fence } from "../kernel/task.ts";
import type { Fate, Seal } from "../kernel/task-transaction/seal.ts";
import { results } from "../operate/results.ts";
import type { Act } from "../operate/sql.ts";
import { type Executor, LOOP_MS } from "../store/executor.ts";
import type { ShapeStep } from "./define-process.ts";

export type StepOutcome =
  | "done"
  | "skipped"
  | "failed"
  | "again"
  | "began"
  | "waiting"
  | "sleeping"
  | "held"
  | "ended"
  | "restarted"
  | "completed"
  | "released"
  | "abandoned";

/** A row of a run, as its worker reads it. */
export interface StepRow {
  readonly no: number;
  readonly step: string;
  readonly outcome: StepOutcome;
  readonly next?: string;
  readonly is_error?: boolean;
  /** Its time has come. */
  readonly is_over?: boolean;
  readonly left_ms?: number;
  readonly output?: unknown;
}

export interface SignalRow {
  readonly id: string;
  readonly name: string;
  readonly payload: unknown;
}

export interface Loaded {
  readonly steps: readonly StepRow[];
  readonly data: Record<string, unknown>;
  readonly signals: readonly SignalRow[];
}

/** Answers in the order of `ids`. */
export async function loadRuns(executor: Executor, ids: readonly string[]): Promise<Loaded[]> {
  const rows = await executor.rows<{
    id: string;
    steps: StepRow[] | null;
    data: Record<string, unknown> | null;
    signals: SignalRow[] | null;
  }>("select id, steps, data, signals from pawl.load_runs_v1($1)", [ids], LOOP_MS);
  const found = new Map(rows.map((row) => [String(row.id), row]));
  return ids.map((id) => ({
    steps: found.get(id)?.steps ?? [],
    data: found.get(id)?.data ?? {},
    signals: found.get(id)?.signals ?? [],
  }));
}

/** What became of a step, to be recorded. `output`, `data`, `sent` and `error` are JSON texts. */
export interface StepRecord {
  readonly fence: Fence;
  readonly no: number;
  readonly step: string;
  readonly outcome: StepOutcome;
  readonly next: string | null;
  readonly attempt: number;
  readonly message?: string | null;
  readonly signal?: string;
  readonly untilMs?: number;
  readonly output?: string | null;
  readonly data?: string | null;
  readonly sent?: string | null;
  readonly error?: string | null;
  readonly tookMs?: number;
  readonly took?: string;
}

/** Answers for each run whether its rows were recorded: false where it is no longer this worker's. */
export async function recordSteps(
  executor: Executor,
  runs: readonly (readonly [StepRecord, ...StepRecord[]])[],
): Promise<boolean[]> {
  const worker = runs[0]?.[0].fence.worker;
  const rows = await executor.rows<{ id: string }>(
    "select id from pawl.record_steps_v1($1, $2) r (id)",
    [worker, recordsJson(runs.flat())],
    LOOP_MS,
  );
  const refused = new Set(rows.map((row) => String(row.id)));
  return runs.map(([{ fence }]) => !refused.has(fence.id));
}

/** The end of a step's own transaction. */
export function sealOf(records: readonly [StepRecord, ...StepRecord[]]): Seal {
  const [{ fence, no }] = records;
  const { worker, id, seq } = fence;
  return {
    record: async (executor) => {
      const [row] = await executor.rows<{ is_settled: boolean; xid: string }>(
        "select * from pawl.record_in_transaction_v1($1, $2)",
        [worker, recordsJson(records)],
      );
      return row;
    },
    fate: async (executor, xid) => {
      const [row] = await executor.rows<{ fate: Fate }>(
        "select pawl.step_recorded_v1($1, $2, $3, $4) as fate",
        [id, no, seq, xid],
      );
      return row?.fate;
    },
  };
}

function recordsJson(records: readonly StepRecord[]): string {
  return `[${records.map(recordJson).join(",")}]`;
}

function recordJson({ fence, untilMs, tookMs, output, data, sent, error, ...record }: StepRecord) {
  const { id, seq, claim } = fence;
  const rest = JSON.stringify({ id, seq, claim, until_ms: untilMs, took_ms: tookMs, ...record });
  const texts = Object.entries({ output, data, sent, error }).filter(
    ([, text]) => text !== undefined && text !== null,
  );
  return `${rest.slice(0, -1)}${texts.map(([key, text]) => `,"${key}":${text}`).join("")}}`;
}

export interface VersionDefinition {
  readonly process: string;
  readonly version: number;
  readonly title: string;
  readonly shape: readonly ShapeStep[];
}

/** Answers the versions that are stored with another shape, and have runs; then nothing was written. */
export function defineProcesses(
  executor: Executor,
  application: string,
  versions: readonly VersionDefinition[],
): Promise<{ process: string; version: number; stored: ShapeStep[] }[]> {
  return executor.rows("select * from pawl.define_processes_v1($1, $2)", [
    application,
    JSON.stringify(versions),
  ]);
}

export interface StartedRow {
  id: string;
  outcome: "created" | "duplicate";
}

/** `runs` is the JSON text of an array. `xid` null: no check; otherwise no row, and nothing written, unless in that transaction. */
export function startProcesses(
  executor: Executor,
  runs: string,
  xid: string | null,
): Promise<StartedRow[]> {
  return executor.rows("select id, outcome from pawl.start_processes_v1($1, $2)", [runs, xid]);
}

export const RUN_STATUSES = [
  "pending",
  "running",
  "retry",
  "waiting",
  "sleeping",
  "held",
  "error",
  "done",
  "skipped",
  "abandoned",
  "cancelled",
  "expired",
  "removed",
] as const;
export type RunStatus = (typeof RUN_STATUSES)[number];

export interface RunRow {
  id: string;
  process: string;
  version: number;
  status: RunStatus;
  /** The step that it stands at; null when it has ended. */
  step: string | null;
  key: string | null;
  lane: string | null;
  attempt: number;
  createdAt: Date;
  /** When it runs again, or may run. */
  runAt: Date | null;
  endedAt: Date | null;
  workerId: string | null;
  message: string | null;
  waitsFor: string | null;
  until: Date | null;
  error: { name: string; message: string } | null;
}

export interface RunFilter {
  id?: string;
  process?: string;
  status?: RunStatus;
  key?: string;
  limit: number;
}

export function runs(executor: Executor, filter: RunFilter): Promise<RunRow[]> {
  const { id = null, process = null, status = null, key = null, limit } = filter;
  return results(executor, "select * from pawl.process_runs_v1($1, $2, $3, $4, $5)", [
    id,
    process,
    status,
    key,
    limit,
  ]);
}

export interface HistoryRow {
  no: number;
  step: string;
  outcome: StepOutcome;
  attempt: number;
  message: string | null;
  output: unknown;
  data: unknown;
  /** What it sent outside, each with its action. */
  sent: { action: string; payload: unknown }[] | null;
  error: { name: string; message: string } | null;
  startedAt: Date | null;
  endedAt: Date;
  until: Date | null;
  by: string | null;
  why: string | null;
}

export function history(executor: Executor, id: string): Promise<HistoryRow[]> {
  return results(
    executor,
    `select no, step, outcome, attempt, message, output, data, sent, error, started_at, ended_at, until, by, why
       from pawl.process_steps_v1($1)`,
    [id],
  );
}

export interface VersionRow {
  process: string;
  version: number;
  title: string | null;
  steps: string[];
  definedAt: Date;
  /** Its live runs, and those in error. */
  live: string;
  errors: string;
  /** A live worker can run it. */
  isKnown: boolean;
}

export function versions(executor: Executor, process: string | null): Promise<VersionRow[]> {
  return results(executor, "select * from pawl.process_versions_v1($1)", [process]);
}

export interface SentSignal extends Partial<Act> {
  id: string;
  name: string;
  /** JSON text. */
  payload: string;
}

/** `action`: an operator sends it, and it is in the audit. */
export async function signalRun(
  executor: Executor,
  { id, name, payload, by, why, action }: SentSignal,
): Promise<string> {
  const [row] = await executor.rows<{ outcome: string }>(
    "select pawl.signal_process_v1($1, $2, $3, $4, $5, $6) as outcome",
    [id, name, payload, by ?? null, why ?? null, action ?? null],
  );
  return row?.outcome ?? "unknown";
}

export interface RunChange extends Act {
  id: string;
  outcome: "restarted" | "skipped" | "completed" | "released";
  step?: string | undefined;
  /** JSON text. */
  output?: string | undefined;
  action: string;
}

export async function changeRun(executor: Executor, change: RunChange): Promise<string> {
  const { id, outcome, step = null, output = null, by, why = null, action } = change;
  const [row] = await executor.rows<{ outcome: string }>(
    "select pawl.change_run_v1($1, $2, $3, $4, $5, $6, $7) as outcome",
    [id, outcome, step, output, by, why, action],
  );
  return row?.outcome ?? "unknown";
}

export async function abandonRun(
  executor: Executor,
  { id, by, why }: Act & { id: string },
): Promise<string> {
  const [row] = await executor.rows<{ outcome: string }>(
    "select pawl.abandon_run_v1($1, $2, $3) as outcome",
    [id, by, why ?? null],
  );
  return row?.outcome ?? "unknown";
}

/** Answers the last run that was looked at; null when none was left. */
export async function pruneSteps(
  executor: Executor,
  after: string,
  limit: number,
): Promise<string | null> {
  const [row] = await executor.rows<{ last: string | null }>(
    "select pawl.prune_steps_v1($1, $2)::text as last",
    [after, limit],
  );
  return row?.last ?? null;
}
