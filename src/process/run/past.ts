/** What has happened in a run: its rows, and what they say about where it stands. */

import type { Loaded, SignalRow, StepOutcome, StepRecord, StepRow } from "../sql.ts";
import { withFields } from "./notes.ts";

/** What is read of a process. */
interface StepsOf {
  readonly steps: readonly { readonly name: string; readonly kind: string }[];
}

/** These say where the run goes on; the others tell of a step that is under way. */
const MOVES: ReadonlySet<StepOutcome> = new Set([
  "done",
  "skipped",
  "ended",
  "restarted",
  "completed",
  "migrated",
]);
const UNDER_WAY: ReadonlySet<StepOutcome> = new Set(["began", "waiting", "sleeping"]);

/** The list of an `each` that is under way. */
export interface ItemList {
  readonly step: string;
  readonly no: number;
  readonly items: readonly unknown[];
  /** How often the step has failed, or was restarted, with this list. */
  readonly round: number;
}

export class Past {
  /** The step that comes next; null: none. */
  at: string | null;
  /** By the names of steps, and of nothing else. */
  outputs: Readonly<Record<string, unknown>> = {};
  data: Readonly<Record<string, unknown>>;
  nextNo = 1;
  /** Of the last step that was done; of a hook only what it returns. */
  result: unknown;
  readonly signals: readonly SignalRow[];
  readonly #hooks: ReadonlySet<string>;
  readonly #times = new Map<string, number>();
  readonly #rounds = new Map<string, number>();
  readonly #failures = new Map<string, number>();
  readonly #taken = new Set<string>();
  #list: ItemList | undefined;
  /** The last row of a step that is under way: that it began, waits or sleeps. */
  #underWay: StepRow | undefined;
  #last: StepRow | undefined;

  constructor(process: StepsOf, { steps, data, signals }: Loaded) {
    this.#hooks = new Set(
      process.steps.filter((one) => one.kind === "hook").map((one) => one.name),
    );
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
      ...(typeof record.error === "string" && { is_error: true, attempt: record.attempt }),
      ...(typeof record.output === "string" && { output: JSON.parse(record.output) }),
    });
  }

  /** No step has failed more often since the attempts of its task were counted anew: its dead letter was retried, or it got on. */
  capFailures(most: number): void {
    for (const [step, failures] of this.#failures)
      this.#failures.set(step, Math.min(failures, most));
  }

  /** An operator holds it: that changes nothing of what it waits for. */
  hold(): void {
    const { step = "", next } = this.#last ?? {};
    const at = next === undefined ? {} : { next };
    this.#add({ no: this.nextNo, step, outcome: "held", by_operator: true, ...at });
  }

  /** An operator has to let it go on. */
  get isHeld(): boolean {
    return this.#last?.outcome === "held";
  }

  /** How many times the step was done; of an `each`, how many lists were begun, but for the one under way. */
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

  list(step: string): ItemList | undefined {
    return this.#list?.step === step ? this.#list : undefined;
  }

  /** A signal that no step has taken. */
  signal(name: string | null): SignalRow | undefined {
    return this.signals.find((one) => one.name === name && !this.#taken.has(one.id));
  }

  /** The last one that has come under a name, taken or not. */
  lastSignal(name: string | undefined): SignalRow | undefined {
    return this.signals.findLast((one) => one.name === name);
  }

  #add(row: StepRow): void {
    const { step, outcome, next } = row;
    const isHold = row.by_operator === true;
    const isUnheld = outcome === "released" && (this.#last?.by_operator === true || !this.isHeld);
    this.#last = row;
    this.nextNo = row.no + 1;
    if (isHold || isUnheld) return;
    const isTriedAgain = outcome === "failed" || outcome === "again"; // with a signal, perhaps one that did not fit
    const isStillWaited = isTriedAgain && this.#underWay?.outcome === "waiting";
    if (UNDER_WAY.has(outcome)) this.#underWay = row;
    else if (!isStillWaited) this.#underWay = undefined;
    const isFailed = (outcome === "failed" || outcome === "began") && row.is_error === true;
    if (isFailed) this.#failures.set(step, row.attempt ?? this.attempt(step)); // a retried dead letter counts anew
    if (outcome === "released") this.#failures.delete(step);
    this.#listed(row);
    if (MOVES.has(outcome)) this.#moved(row, next ?? null);
  }

  /** A list lasts until its step is left, by whatever way. */
  #listed({ no, step, outcome, next, output }: StepRow): void {
    const list = this.#list;
    if (outcome === "began" && Array.isArray(output))
      this.#list = { step, no, items: output, round: 0 };
    if (list === undefined) return;
    const isAgain = outcome === "restarted" || outcome === "migrated";
    const isRestarted = isAgain && next === list.step && this.at === next;
    if (outcome === "failed" || isRestarted) this.#list = { ...list, round: list.round + 1 };
    else if (MOVES.has(outcome)) {
      this.#list = undefined;
      if (outcome !== "done") this.#times.set(list.step, this.times(list.step) + 1); // some of its items may have been done
    }
  }

  #moved({ step, outcome, output }: StepRow, next: string | null): void {
    this.at = next;
    this.#failures.delete(step);
    if (outcome === "restarted" || outcome === "migrated") {
      this.#failures.clear();
      this.#rounds.clear();
    }
    if (outcome === "migrated") this.outputs = output as Past["outputs"]; // of the version before: none but these
    if (outcome === "done" || outcome === "completed" || outcome === "skipped")
      this.outputs = { ...this.outputs, [step]: output };
    const isResult = outcome === "done" || outcome === "completed";
    if (isResult && (output !== undefined || !this.#hooks.has(step))) this.result = output;
    if (outcome === "done") {
      this.#times.set(step, this.times(step) + 1);
      this.#rounds.set(step, this.rounds(step) + 1);
    }
  }
}
