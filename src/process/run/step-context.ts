/** Makes what the functions of a process get. */

import { isA } from "../../base/thrown.ts";
import type { HandlerContext } from "../../kernel/task.ts";
import type { Transaction } from "../../store/transaction.ts";
import { Directive, type StepContext, type TxContext } from "../context.ts";
import type { AnyProcess } from "../define-process.ts";
import { line, type Notes } from "./notes.ts";
import type { Past } from "./past.ts";

export interface StepTools {
  process: AnyProcess;
  step: string;
  input: unknown;
  past: Past;
  task: HandlerContext;
  notes: Notes;
}

/** @param tx only of a step in a transaction */
export function stepContext(
  { process, step, input, past, task, notes }: StepTools,
  signal: AbortSignal,
  tx?: Transaction,
): StepContext {
  const times = past.times(step);
  const context: StepContext & Partial<TxContext> = {
    runId: task.taskId,
    process: process.name,
    version: process.version,
    step,
    attempt: past.attempt(step),
    input,
    outputs: past.outputs,
    data: past.data,
    idempotencyKey: `process-${task.taskId}-${step}${times === 0 ? "" : `#${times + 1}`}`, // no name has a "#" or "/"
    signal,
    log: task.log,
    message: (text) => notes.message(text),
    info: (text) => notes.note("info", text),
    warn: (text) => notes.note("warning", text),
    merge: (fields) => notes.merge(fields),
    sent: (action, payload) => notes.sent(action, payload),
    end: (status = "done", message) =>
      new Directive({ what: "end", status, message: message === undefined ? null : line(message) }),
    goto: (to) => new Directive({ what: "goto", step: to }),
    hold: (message) => new Directive({ what: "hold", message: line(message) }),
    ...(tx !== undefined && { tx }),
  };
  return context;
}

export function asDirective(made: unknown): Directive | undefined {
  return isA(made, Directive) ? made : undefined;
}
