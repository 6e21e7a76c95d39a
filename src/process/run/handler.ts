/** How the kernel runs the tasks of a version of a process. */

import { TIMER_MS_MAX } from "../../base/duration.ts";
import type { StreamHandler } from "../../kernel/task.ts";
import type { AnyProcess } from "../define-process.ts";
import { PROCESSES_QUEUE } from "../definition.ts";
import { runSteps } from "./run.ts";
import type { RunTools } from "./step-attempt.ts";

export function processHandler(process: AnyProcess, tools: RunTools): StreamHandler {
  return {
    queue: PROCESSES_QUEUE,
    kind: process.name,
    version: process.version,
    timeoutMs: TIMER_MS_MAX, // each step has its own
    hasLastWord: true,
    run: (payload, context) => runSteps(process, payload, context, tools),
  };
}
