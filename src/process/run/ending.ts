/** What a step came to: its output, or how it says that the run goes on. */

import { shown } from "../../base/errors.ts";
import { messageOf } from "../../base/thrown.ts";
import { Unrecoverable } from "../../kernel/thrown.ts";
import { issuesOf } from "../../options/schema.ts";
import type { DirectiveSpec } from "../context.ts";
import { finishOf } from "../hooks.ts";
import type { StepOutcome } from "../sql.ts";
import type { Step } from "../step.ts";
import { outputJson } from "./notes.ts";
import { asDirective } from "./step-context.ts";

export interface Ending {
  readonly outcome: StepOutcome;
  readonly next: string | null;
  /** JSON text. */
  readonly output?: string | null;
  readonly message?: string | null;
  /** The signal that it has taken. */
  readonly took?: string;
  /** Why an operator has to let the run go on. */
  readonly hold?: string;
}

interface Among {
  step: string;
  /** The step after it; null: it is the last one. */
  next: string | null;
  steps: readonly Step[];
  bytesMax: number;
}

/** @throws Unrecoverable for what no other attempt would make better: what the step did is done */
export function endingOf(made: unknown, among: Among): Ending {
  const { step, next, bytesMax } = among;
  const directive = asDirective(made);
  if (directive !== undefined) return directed(directive.does, among);
  try {
    return {
      outcome: "done",
      next,
      output: outputJson(made, `output of step "${step}"`, bytesMax),
    };
  } catch (error) {
    throw new Unrecoverable(
      `step "${step}" has run, but what it returned cannot be stored: ${messageOf(error)}; return plain data, and \`pawl processes complete\` this one`,
      { cause: error },
    );
  }
}

function directed(does: DirectiveSpec, { step, steps, next }: Among): Ending {
  if (does.what === "end") {
    const { status, message } = does;
    if (status === "done" || status === "skipped") {
      const last = finishOf(steps)?.name ?? null;
      const output = JSON.stringify({ status });
      return { outcome: "ended", next: last === step ? null : last, output, message };
    }
    throw new Unrecoverable(`step "${step}": end(${shown(status)}), not "done" or "skipped"`);
  }
  if (does.what === "goto") {
    if (steps.some((one) => one.name === does.step)) return { outcome: "done", next: does.step };
    throw new Unrecoverable(`step "${step}": goto(${shown(does.step)}) names no step`);
  }
  // after the last step there is nothing to hold
  if (next === null) return { outcome: "done", next, message: does.message };
  return { outcome: "done", next, hold: does.message };
}

/** What a `wait` makes of a signal's payload. */
export async function endOfTake(
  { name, schema }: Step,
  payload: unknown,
): Promise<{ value: unknown } | { refused: string }> {
  if (schema === null) return { value: payload };
  const result = await schema["~standard"].validate(payload);
  const issues = issuesOf(`step "${name}"`, result);
  return issues === undefined
    ? { value: (result as { value: unknown }).value }
    : { refused: issues };
}
