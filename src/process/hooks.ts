/** The hooks of a process that are steps of their own: before its first step and after its last one. */

import { PawlError, shown } from "../base/errors.ts";
import { isA, messageOf } from "../base/thrown.ts";
import { Recoverable, RetryAfter, Snooze, Unrecoverable } from "../kernel/thrown.ts";
import type { StepContext } from "./context.ts";
import { NO_STEP, type Step } from "./step.ts";

type Hook = (context: StepContext) => unknown;

export interface Hooks {
  validate?: Hook | undefined;
  start?: Hook | undefined;
  finish?: Hook | undefined;
}

/** Each hook that there is as a step with its name. @throws PawlError `duplicate_name` */
export function withHooks(steps: readonly Step[], hooks: Hooks, where: string): readonly Step[] {
  const { validate, start, finish } = hooks;
  for (const name of ["validate", "start", "finish"] as const) {
    if (hooks[name] === undefined || !steps.some((step) => step.name === name)) continue;
    throw new PawlError(
      "duplicate_name",
      `${where}: a step has the name of the hook \`${name}\`; give the step another one`,
    );
  }
  return [
    ...hookStep("validate", validate === undefined ? undefined : validating(validate)),
    ...hookStep("start", start),
    ...steps,
    ...hookStep("finish", finish),
  ];
}

function hookStep(name: string, run: Hook | undefined): Step[] {
  return run === undefined ? [] : [{ ...NO_STEP, name, kind: "hook", run }];
}

/** The hook that runs when all is done, and after an early end; undefined: there is none. */
export function finishOf(steps: readonly Step[]): Step | undefined {
  const last = steps.at(-1);
  return last?.kind === "hook" ? last : undefined;
}

/** No other attempt makes an input valid: unless the hook says otherwise, the run is in error at once. */
function validating(validate: Hook): Hook {
  return async (context) => {
    let issue: unknown;
    try {
      issue = await validate(context);
    } catch (thrown) {
      if (context.signal.aborted) throw thrown;
      const saysWhatNext = [Unrecoverable, Recoverable, RetryAfter, Snooze].some((one) =>
        isA(thrown, one),
      );
      if (saysWhatNext) throw thrown;
      throw new Unrecoverable(`validate: ${messageOf(thrown)}`, { cause: thrown });
    }
    if (issue === undefined || issue === null) return;
    if (typeof issue === "string" && issue !== "") throw new Unrecoverable(`validate: ${issue}`);
    throw new Unrecoverable(
      `validate: returned ${shown(issue)}, neither a text that says what is wrong nor nothing`,
    );
  };
}
