/** Statements of processes. The work is in the functions of `src/process/sql`. */

import type { Fence } from "../kernel/task.ts";
import type { Fate, Seal } from "../kernel/task-transaction/seal.ts";
import type { Act } from "../operate/sql.ts";
import type { EventStatus } from "../outbox/sql.ts";
import { type Executor, LOOP_MS } from "../store/executor.ts";
import type { RunColumn } from "./columns.ts";
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
  | "migrated"
  | "abandoned";

/** A row of a run, as its worker reads it. */
export interface StepRow {
  readonly no: number;
  readonly step: string;
  readonly outcome: StepOutcome;
  readonly next?: string;
  readonly is_error?: boolean;
  /** Of a row with an error. */
  readonly attempt?: number;
  /** Its time has come. */
  readonly is_over?: boolean;
  readonly left_ms?: number;
  /** What it waits for. */
  readonly signal?: string;
  readonly output?: unknown;
  /** Of a hold: it changes nothing of what the run waits for. */
  readonly by_operator?: boolean;
  /** Of the last row that waits, if that is for an event: how far it is. */
  readonly event?: EventState;
}

export interface EventState {
  readonly id: string;
  /** Null: retention has removed the event. */
  readonly name: string | null;
  readonly status: EventStatus | "forgotten";
  readonly deliveries: readonly {
    readonly id: string;
    readonly destination: string;
    readonly status: Exclude<EventStatus, "unrouted">;
    readonly error: string | null;
  }[];
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
  /** An operator wants it held. */
  readonly isToHold: boolean;
}

/** Answers in the order of `ids`. */
export async function loadRuns(executor: Executor, ids: readonly string[]): Promise<Loaded[]> {
  const rows = await executor.rows<{
    id: string;
    steps: StepRow[] | null;
    data: Record<string, unknown> | null;
    signals: SignalRow[] | null;
    is_to_hold: boolean;
  }>("select id, steps, data, signals, is_to_hold from pawl.load_runs_v1($1)", [ids], LOOP_MS);
  const found = new Map(rows.map((row) => [String(row.id), row]));
  return ids.map((id) => ({
    steps: found.get(id)?.steps ?? [],
    data: found.get(id)?.data ?? {},
    signals: found.get(id)?.signals ?? [],
    isToHold: found.get(id)?.is_to_hold ?? false,
  }));
}

/** What became of a step, to be recorded. `output`, `data`, `sent`, `notes` and `error` are JSON texts. */
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
  readonly notes?: string | null;
  readonly error?: string | null;
  readonly tookMs?: number;
  readonly took?: string;
  /** The run that it waits for, to be started with it: JSON text. */
  readonly start?: string;
  /** The same of a request. */
  readonly request?: string;
  /** The same of an event. */
  readonly event?: string;
}

/** `lost`: it is no longer this worker's, and nothing was recorded. `held`: an operator holds the run behind its rows. */
export type Recorded = "recorded" | "held" | "lost";

/** Answers for each run what became of its rows. */
export async function recordSteps(
  executor: Executor,
  runs: readonly (readonly [StepRecord, ...StepRecord[]])[],
): Promise<Recorded[]> {
  const worker = runs[0]?.[0].fence.worker;
  const rows = await executor.rows<{ id: string; what: Recorded }>(
    "select id, what from pawl.record_steps_v1($1, $2)",
    [worker, recordsJson(runs.flat())],
    LOOP_MS,
  );
  const answers = new Map(rows.map(({ id, what }) => [String(id), what]));
  return runs.map(([{ fence }]) => answers.get(fence.id) ?? "recorded");
}

/** Holds a run as an operator wants it. Released: no longer wanted. Lost: it is no longer this worker's. */
export async function holdLoaded(
  executor: Executor,
  { worker, id, seq, claim }: Fence,
  { no, step }: { no: number; step: string },
): Promise<"held" | "released" | "lost" | undefined> {
  const [row] = await executor.rows<{ what: "held" | "released" | "lost" }>(
    "select pawl.hold_loaded_v1($1, $2, $3, $4, $5, $6) as what",
    [worker, id, seq, claim, no, step],
    LOOP_MS,
  );
  return row?.what;
}

/** The end of a step's own transaction. `held` is called when an operator holds the run behind it. */
export function sealOf(
  records: readonly [StepRecord, ...StepRecord[]],
  held: () => void = () => undefined,
): Seal {
  const [{ fence, no }] = records;
  const { worker, id, seq } = fence;
  return {
    record: async (executor) => {
      const [row] = await executor.rows<{ is_settled: boolean; xid: string; is_held: boolean }>(
        "select * from pawl.record_in_transaction_v1($1, $2)",
        [worker, recordsJson(records)],
      );
      if (row?.is_held === true) held();
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

function recordJson(given: StepRecord): string {
  const {
    fence,
    untilMs,
    tookMs,
    output,
    data,
    sent,
    notes,
    error,
    start,
    request,
    event,
    ...record
  } = given;
  const { id, seq, claim } = fence;
  const rest = JSON.stringify({ id, seq, claim, until_ms: untilMs, took_ms: tookMs, ...record });
  const texts = Object.entries({ output, data, sent, notes, error, start, request, event }).filter(
    ([, text]) => text !== undefined && text !== null,
  );
  return `${rest.slice(0, -1)}${texts.map(([key, text]) => `,"${key}":${text}`).join("")}}`;
}

export interface VersionDefinition {
  readonly process: string;
  readonly version: number;
  readonly title: string;
  readonly shape: readonly ShapeStep[];
  readonly columns: readonly RunColumn[];
  readonly keep_sent_ms: number | null;
  readonly keep_results_ms: number | null;
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
  return executor.rows(
    "select id, outcome from pawl.start_processes_v1($1::pg_catalog.text::pg_catalog.jsonb, $2)",
    [runs, xid],
  );
}

/** `run`: JSON text. Answers no row, having written nothing, when no code defines its process. */
export function startKnown(
  executor: Executor,
  run: string,
  isEvent: boolean,
): Promise<StartedRow[]> {
  return executor.rows("select id, outcome from pawl.start_known_v1($1, $2)", [run, isEvent]);
}

export interface SentSignal extends Partial<Act> {
  id: string;
  name: string;
  /** JSON text. */
  payload: string;
}

/** `action`: an operator sends it, and it is in the audit. `xid` as with `startProcesses`: undefined, and nothing sent, unless there. */
export async function signalRun(
  executor: Executor,
  { id, name, payload, by, why, action }: SentSignal,
  xid: string | null = null,
): Promise<string | undefined> {
  const [row] = await executor.rows<{ outcome: string | null }>(
    "select pawl.signal_process_v1($1::pg_catalog.int8, $2, $3::pg_catalog.text::pg_catalog.jsonb, $4, $5, $6, $7) as outcome",
    [id, name, payload, by ?? null, why ?? null, action ?? null, xid],
  );
  return row?.outcome ?? undefined;
}
