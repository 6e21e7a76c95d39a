/** What has happened in a run: its rows, and what they say about where it stands. */

import type { AnyProcess } from "./define-process.ts";
import { withFields } from "./notes.ts";
import type { Loaded, SignalRow, StepOutcome, StepRecord, StepRow } from "./sql.ts";

/** These say where the run goes on; the others tell of a step that is under way. */
const MOVES: ReadonlySet<StepOutcome> = new Set([
  "done",
  "skipped",
  "ended",
  "restarted",
  "completed",
]);
const UNDER_WAY: ReadonlySet<StepOutcome> = new Set(["began", "waiting", "sleeping"]);

export class Past {
  /** The step that comes next; null: none. */
  at: string | null;
  /** By the names of steps, and of nothing else. */
  outputs: Readonly<Record<string, unknown>> = {};
  data: Readonly<Record<string, unknown>>;
  nextNo = 1;
  /** Of the last step that was done. */
  result: unknown;
  readonly signals: readonly SignalRow[];
  readonly #times = new Map<string, number>();
  readonly #rounds = new Map<string, number>();
  readonly #failures = new Map<string, number>();
  readonly #taken = new Set<string>();
  /** The last row of a step that is under way: that it began, waits or sleeps. */
  #underWay: StepRow | undefined;
  #last: StepRow | undefined;

  constructor(process: AnyProcess, { steps, data, signals }: Loaded) {
    this.at = process.steps[0]?.name ?? null;
    this.data = data;
    this.signals = signals;
    for (const row of steps) this.#add(row);
  }

  /** What this attempt has recorded itself. */
  add(record: StepRecord): void {
    if (record.took !== undefined) this.#taken.add(record.took);
    if (typeof record.data === "string") this.data = withFields(this.data, JSON.parse(record.data));
    this.#add({
      no: record.no,
      step: record.step,
      outcome: record.outcome,
      ...(record.next !== null && { next: record.next }),
      ...(typeof record.error === "string" && { is_error: true }),
      ...(typeof record.output === "string" && { output: JSON.parse(record.output) }),
    });
  }

  /** Its dead letter was retried: attempts are counted anew. */
  startAnew(): void {
    this.#failures.clear();
  }

  /** An operator has to let it go on. */
  get isHeld(): boolean {
    return this.#last?.outcome === "held";
  }

  /** How many times the step was done. */
  times(step: string): number {
    return this.#times.get(step) ?? 0;
  }

  /** The same since an operator has restarted the run. */
  rounds(step: string): number {
    return this.#rounds.get(step) ?? 0;
  }

  /** The number of its attempt that comes now, from 1. */
  attempt(step: string): number {
    return (this.#failures.get(step) ?? 0) + 1;
  }

  /** Its row, if it began, waits or sleeps, and nothing says that it has ended. */
  underWay(step: string): StepRow | undefined {
    return this.#underWay?.step === step ? this.#underWay : undefined;
  }

  /** A signal that no step has taken. */
  signal(name: string | null): SignalRow | undefined {
    return this.signals.find((one) => one.name === name && !this.#taken.has(one.id));
  }

  #add(row: StepRow): void {
    const { step, outcome, next } = row;
    this.#last = row;
    this.nextNo = row.no + 1;
    const isStillWaited = outcome === "failed" && this.#underWay?.outcome === "waiting"; // a signal that did not fit
    if (UNDER_WAY.has(outcome)) this.#underWay = row;
    else if (!isStillWaited) this.#underWay = undefined;
    const isFailed = outcome === "failed" || (outcome === "began" && row.is_error === true);
    if (isFailed) this.#failures.set(step, this.attempt(step));
    if (outcome === "released") this.#failures.delete(step);
    if (MOVES.has(outcome)) this.#moved(row, next ?? null);
  }

  #moved({ step, outcome, output }: StepRow, next: string | null): void {
    this.at = next;
    this.#failures.delete(step);
    if (outcome === "restarted") {
      this.#failures.clear();
      this.#rounds.clear();
    }
    if (outcome === "done" || outcome === "completed" || outcome === "skipped")
      this.outputs = { ...this.outputs, [step]: output };
    if (outcome === "done" || outcome === "completed") this.result = output;
    if (outcome === "done") {
      this.#times.set(step, this.times(step) + 1);
      this.#rounds.set(step, this.rounds(step) + 1);
    }
  }
}
