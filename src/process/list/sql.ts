/** Runs, their histories and the versions of processes, as they are shown. The work is in the functions of `src/process/sql`. */

import type { OffSwitch, QuietWindow } from "../../kernel/operator/held-text.ts";
import { requireKnown } from "../../kernel/operator/known.ts";
import { ownJson, results } from "../../operate/results.ts";
import type { Executor } from "../../store/executor.ts";
import type { EventState, StepOutcome } from "../sql.ts";

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
  /** The name of a signal. */
  waitsFor: string | null;
  until: Date | null;
  error: { name: string; message: string } | null;
  /** The task that it waits for: another run, or a request. Its status is null if history has forgotten it. */
  waitsForTask: {
    id: string;
    queue: string | null;
    kind: string | null;
    status: string | null;
  } | null;
  /** What its version shows in lists, by the names of its columns. */
  columns: Record<string, unknown>;
  /** How many warnings its steps have left. */
  warnings: number;
  /** The event for whose deliveries it waits. */
  waitsForEvent: { id: string; name: string | null; status: EventState["status"] } | null;
}

export interface RunFilter {
  id?: string;
  process?: string;
  status?: RunStatus;
  key?: string;
  lane?: string;
  /** Texts of columns. */
  where?: Readonly<Record<string, string>> | null;
  limit: number;
}

export function runs(executor: Executor, filter: RunFilter): Promise<RunRow[]> {
  const {
    id = null,
    process = null,
    status = null,
    key = null,
    where = null,
    lane = null,
    limit,
  } = filter;
  return results(executor, "select * from pawl.process_runs_v1($1, $2, $3, $4, $5, $6, $7)", [
    id,
    process,
    status,
    key,
    limit,
    where === null ? null : JSON.stringify(where),
    lane,
  ]);
}

export interface SentPayload {
  action: string;
  /** Missing: retention has removed it. */
  payload?: unknown;
}

export interface StepNote {
  level: "info" | "warning";
  text: string;
}

export interface HistoryRow {
  no: number;
  step: string;
  outcome: StepOutcome;
  attempt: number;
  message: string | null;
  output: unknown;
  data: unknown;
  /** When retention has removed `output` and `data`. */
  resultsPrunedAt: Date | null;
  /** What it sent outside, each with its action. */
  sent: SentPayload[] | null;
  /** What `context.info` and `context.warn` have said. */
  notes: StepNote[] | null;
  error: { name: string; message: string } | null;
  startedAt: Date | null;
  endedAt: Date;
  until: Date | null;
  by: string | null;
  why: string | null;
  /** Of a row with the list of an `each`, which is its output: how many items have ended. */
  items: { total: number; done: number; failed: number } | null;
}

export function history(executor: Executor, id: string): Promise<HistoryRow[]> {
  return results(
    executor,
    `select s.no, s.step, s.outcome, s.attempt, s.message, s.output, s.data, s.sent, s.notes, s.error, s.started_at, s.ended_at, s.until, s.by, s.why, s.results_pruned_at,
            case when s.outcome = 'began' and s.output is not null then jsonb_build_object('total', jsonb_array_length(s.output),
              'done', coalesce(i.done, 0), 'failed', coalesce(i.failed, 0)) end as items
       from pawl.process_steps_v1($1) s left join pawl.count_items_v1($1) i on i.no = s.no order by s.no`,
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
  /** Live runs of which no step has ended or failed yet. */
  fresh: string;
  /** The most attempts that a live run has failed at the step where it stands, and which run; 0 and null: none has. */
  mostAttempts: number;
  mostAttemptsId: string | null;
  /** The names of its columns in lists of runs. */
  columns: string[];
  /** The switches that hold its process everywhere. */
  off: OffSwitch[];
  /** The quiet hours that hold it now. */
  quiet: QuietWindow[];
  /** The hosts on which a file or `PAWL_OFF` holds it. */
  offHosts: string[];
}

export async function versions(executor: Executor, process: string | null): Promise<VersionRow[]> {
  const query = "select * from pawl.process_versions_v1($1)";
  const rows = await results<VersionRow>(executor, query, [process]);
  return rows.map((row) => ({
    ...row,
    off: ownJson(row.off) as OffSwitch[],
    quiet: ownJson(row.quiet) as QuietWindow[],
  }));
}

/** A process that nobody has defined has no runs. @throws PawlError `unknown_kind` with the nearest there is */
export async function requireProcess(executor: Executor, process: string): Promise<void> {
  const known = new Set((await versions(executor, null)).map((row) => row.process));
  requireKnown("unknown_kind", process, [...known]);
}

/** What was given to a run beside its input. */
export async function metaOf(
  executor: Executor,
  id: string,
): Promise<Record<string, unknown> | null> {
  const [row] = await results<{ meta: Record<string, unknown> | null }>(
    executor,
    "select pawl.run_meta_v1($1) as meta",
    [id],
  );
  return row?.meta ?? null;
}
