/** The part `process`: versioned lists of steps, each run a task that advances from step to step. */

import { TIMER_MS_MAX } from "../base/duration.ts";
import type { Logger } from "../base/log.ts";
import type { Part, PartTools } from "../kernel/part.ts";
import type { RetrySeries } from "../kernel/retry.ts";
import type { Noun } from "../operate/verb.ts";
import type { RequestsApp } from "../requests/definition.ts";
import { keyRing } from "../requests/dispatch/key-ring.ts";
import { type RequestsOf, requestChecker } from "../requests/dispatch/write.ts";
import type { InTransaction } from "../store/transaction.ts";
import type { AnyProcess, ProcessInput } from "./define-process.ts";
import { allVersions, PROCESSES_QUEUE, type ProcessApp, processDefinition } from "./definition.ts";
import type { Processes } from "./operator/processes.ts";
import { processesNoun } from "./operator/verbs.ts";
import { whyRun } from "./operator/why.ts";
import type { ProcessDesk } from "./operator/work.ts";
import { registerProcesses } from "./register.ts";
import { pruneAllRuns, stepPruner } from "./retention/prune.ts";
import { processHandler } from "./run/handler.ts";
import { recorderOn } from "./run/recorder.ts";
import {
  type SignalOptions,
  type Started,
  type StartOptions,
  sendSignal,
  startRun,
  startsOn,
} from "./start.ts";
import { isWaiting } from "./step.ts";
import { processWrites } from "./writes.ts";

export const PROCESS_PRODUCER_CALLS = ["start", "signal"] as const;

interface ProcessTools extends PartTools {
  app: ProcessApp & RequestsOf & Pick<RequestsApp, "keys">;
  /** Refuses references that the app does not allow operators. */
  refuseSecrets: ProcessDesk["refuseSecrets"];
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

export interface ProcessProvided extends Pick<ProcessDesk, "processes" | "requestsOf"> {}

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

export const processPart: Part<ProcessTools, ProcessDesk> = {
  name: "process",
  definition: processDefinition,
  producerCalls: PROCESS_PRODUCER_CALLS,
  writes: processWrites,
  calls: ({ app, caller: { base } }): ProcessCalls => {
    const starts = startsOn(base.store);
    return {
      start: async (process, input, options = {}) => startRun(app, starts, process, input, options),
      signal: async (run, name, payload, options = {}) =>
        sendSignal(app, base.store, run, name, payload, options),
    };
  },
  whyTask: whyRun,
  prune: pruneAllRuns,
  provides: ({ app }) => ({ processes: app.processes, requestsOf: app }) satisfies ProcessProvided,
  nouns: [processesNoun as Noun<object, ProcessDesk>],
  queues: ({ processes }) => (processes.length === 0 ? [] : [PROCESSES_QUEUE]),
  catalogue: ({ processes }) => ({
    queues: processes.length === 0 ? [] : [QUEUE],
    streams: allVersions(processes).map((one) => ({
      queue: PROCESSES_QUEUE,
      kind: one.name,
      version: one.version,
      retry: RUN_RETRY,
      timeout_ms: leastMs(one),
      handler: `process ${one.name}`,
    })),
  }),
  register: (executor, { application }, { processes }) =>
    registerProcesses(executor, application, processes),
  work: async ({ app, store, plan, log, refuseSecrets }) => {
    if (!plan.runsTasks || app.processes.length === 0) return {};
    warnOfLongSteps(app, plan.timeLimitMs, log);
    const tools = {
      recorder: recorderOn(store, log),
      checkRequest: requestChecker(app, store, keyRing(store, app.keys, refuseSecrets)),
      bytesMax: app.maxPayloadBytes,
    };
    return {
      handlers: allVersions(app.processes).map((one) => processHandler(one, tools)),
      loops: () => [stepPruner(store, log)],
    };
  },
};
/** They wait for a worker that has no time limit, or a longer one: nobody should wonder why. */
function warnOfLongSteps(
  { processes }: ProcessApp,
  limitMs: number | undefined,
  log: Logger,
): void {
  if (limitMs === undefined) return;
  for (const { name, version, steps, timeoutMs, hasTimeout } of allVersions(processes)) {
    const declaredMs = hasTimeout ? timeoutMs : 0;
    const long = steps.filter(
      ({ kind, timeoutMs: own }) => !isWaiting(kind) && (own ?? declaredMs) >= limitMs,
    );
    if (long.length === 0) continue;
    log.warn(
      { process: name, version, steps: long.map((step) => step.name), timeLimitMs: limitMs },
      "steps whose timeout is not shorter than this worker's time limit never start on it",
    );
  }
}

/** The shortest step that a claim may begin with: quiet hours look so far ahead, and the worker asks again before each step. */
function leastMs({ steps, timeoutMs }: AnyProcess): number {
  const limits = steps.map(({ kind, timeoutMs: own }) =>
    isWaiting(kind) ? 1 : (own ?? timeoutMs),
  );
  return Math.min(...limits, TIMER_MS_MAX);
}
