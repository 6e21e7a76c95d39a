/** Runs a `call`, and decides about one whose end nobody saw. */

import { shown } from "../../base/errors.ts";
import { Advance, Unrecoverable } from "../../kernel/thrown.ts";
import type { Ending } from "./ending.ts";
import type { StepAttempt } from "./step-attempt.ts";

/** `ifInterrupted` failed, so nobody knows yet whether the step was done: it is asked again. */
export class Unanswered {
  readonly cause: unknown;

  constructor(cause: unknown) {
    this.cause = cause;
  }
}

export async function call(attempt: StepAttempt): Promise<void> {
  const { step, past } = attempt;
  if (step.ifInterrupted !== "retry") {
    if (past.underWay(step.name)?.outcome === "began") {
      const found = await asked(attempt);
      if (found !== undefined) return attempt.end(found);
    }
    await attempt.record([attempt.plain({ outcome: "began", next: step.name })]);
  }
  await attempt.end(attempt.endingOf(await attempt.perform()));
}

/** How the step ended; undefined: run it again. */
async function asked(attempt: StepAttempt): Promise<Ending | undefined> {
  const { ifInterrupted: decide, name } = attempt.step;
  let answer: unknown = decide;
  if (typeof decide === "function") {
    answer = await attempt
      .inTime(async (signal) => decide(attempt.context(signal)))
      .catch((thrown: unknown) => {
        throw new Unanswered(thrown);
      });
  }
  if (answer === "retry") return undefined;
  if (answer === "hold") return holdUnknown(attempt);
  if (typeof answer === "object" && answer !== null && "output" in answer)
    return attempt.endingOf(answer.output);
  const message = `step "${name}": \`ifInterrupted\` returned ${shown(answer)}, not "retry", "hold" or { output }`;
  throw new Unanswered(new Unrecoverable(message));
}

/** Waits for an operator, since nobody knows what the step did. @throws always */
export async function holdUnknown(attempt: StepAttempt): Promise<never> {
  const { name } = attempt.step;
  const message = `nobody knows what step "${name}" did outside: its worker died, or its time was up`;
  await attempt.record([attempt.told({ outcome: "held", next: name, message })]);
  throw new Advance();
}
