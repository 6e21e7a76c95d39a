/** The part `process`: versioned lists of steps, each run a task that advances from step to step. */

import { TIMER_MS_MAX } from "../base/duration.ts";
import type { Part, PartTools } from "../kernel/part.ts";
import type { RetrySeries } from "../kernel/retry.ts";
import type { TaskHandler } from "../kernel/task.ts";
import type { Desk, Noun } from "../operate/verb.ts";
import type { InTransaction } from "../store/transaction.ts";
import type { AnyProcess, ProcessInput } from "./define-process.ts";
import { allVersions, PROCESSES_QUEUE, type ProcessApp, processDefinition } from "./definition.ts";
import type { Processes } from "./operator/processes.ts";
import { processesNoun } from "./operator/verbs.ts";
import { stepPruner } from "./pruner.ts";
import { type Recorder, recorderOn } from "./recorder.ts";
import { registerProcesses } from "./register.ts";
import { runSteps } from "./run.ts";
import {
  type SignalOptions,
  type Started,
  type StartOptions,
  sendSignal,
  startRun,
} from "./start.ts";

export const PROCESS_PRODUCER_CALLS = ["start", "signal"] as const;

interface ProcessTools extends PartTools {
  app: ProcessApp;
}

export interface ProcessCalls {
  /**
   * Starts a run of a process. A worker runs its steps; `pawl.processes.show(id)` tells how far it is.
   * @throws PawlError `unknown_kind`, `invalid_payload`, `payload_not_json`, `payload_too_large`, `not_a_transaction`
   */
  start<P extends AnyProcess>(
    process: P,
    input: ProcessInput<P>,
    options?: StartOptions & InTransaction,
  ): Promise<Started>;
  /**
   * Sends a signal to a run, for a `wait` step. It may come before the run waits for it; each signal is taken once.
   * @throws PawlError `task_not_found` when there is no such run, or it has ended; `invalid_option`, `payload_not_json`,
   * `payload_too_large`, `not_a_transaction`
   */
  signal(
    run: string | number | bigint,
    name: string,
    payload?: unknown,
    options?: SignalOptions & InTransaction,
  ): Promise<void>;
}

export interface ProcessNouns {
  readonly processes: Processes;
}

/** The steps' own policies decide; a loss of the worker is tried again at once. */
const RUN_RETRY: RetrySeries = { attempts: 32_000, delays_ms: [1_000], jitter: 0, until_ms: null };

/** Of no app: several that share a database have runs in it. */
const QUEUE = {
  name: PROCESSES_QUEUE,
  retry: RUN_RETRY,
  timeout_ms: null,
  shards: 1,
  is_default: true,
};

export const processPart: Part<ProcessTools> = {
  name: "process",
  definition: processDefinition,
  producerCalls: PROCESS_PRODUCER_CALLS,
  calls: ({ app, caller: { base } }): ProcessCalls => ({
    start: async (process, input, options = {}) =>
      startRun(app, base.store, process, input, options),
    signal: async (run, name, payload, options = {}) =>
      sendSignal(app, base.store, run, name, payload, options),
  }),
  nouns: [processesNoun as Noun<object, Desk>],
  queues: ({ processes }) => (processes.length === 0 ? [] : [PROCESSES_QUEUE]),
  catalogue: ({ processes }) => ({
    queues: processes.length === 0 ? [] : [QUEUE],
    streams: allVersions(processes).map(({ name, version }) => ({
      queue: PROCESSES_QUEUE,
      kind: name,
      version,
      retry: RUN_RETRY,
      timeout_ms: null,
      handler: `process ${name}`,
    })),
  }),
  register: (executor, { application }, { processes }) =>
    registerProcesses(executor, application, processes),
  work: async ({ app, store, plan, log }) => {
    if (!plan.runsTasks || app.processes.length === 0) return {};
    const recorder = recorderOn(store);
    return {
      handlers: allVersions(app.processes).map((one) =>
        processHandler(one, recorder, app.maxPayloadBytes),
      ),
      loops: () => [stepPruner(store, log)],
    };
  },
};

function processHandler(process: AnyProcess, recorder: Recorder, bytesMax: number): TaskHandler {
  return {
    queue: PROCESSES_QUEUE,
    kind: process.name,
    version: process.version,
    timeoutMs: TIMER_MS_MAX, // each step has its own
    run: (payload, context) => runSteps(process, payload, context, { recorder, bytesMax }),
  };
}
