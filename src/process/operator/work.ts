/** The verb `work`: one run now, in this process, step by step. */

import { PawlError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import type { Groups } from "../../base/scope.ts";
import { groupsOf } from "../../kernel/groups/sql.ts";
import { localSwitches } from "../../kernel/local-switches.ts";
import type { Middleware } from "../../kernel/middleware.ts";
import type { RunOne } from "../../kernel/run-one/run-one.ts";
import { runOne } from "../../kernel/run-one/run-one.ts";
import { recordAct } from "../../operate/sql.ts";
import { type Calling, type Desk, type Verb, verb } from "../../operate/verb.ts";
import { required } from "../../options/field.ts";
import { numberId } from "../../options/kinds.ts";
import { keyRing } from "../../requests/dispatch/key-ring.ts";
import { type RequestsOf, requestChecker } from "../../requests/dispatch/write.ts";
import type { JwtKey } from "../../requests/keys/index.ts";
import type { SecretRef } from "../../secrets/secret.ts";
import type { AnyProcess } from "../define-process.ts";
import { allVersions, PROCESSES_QUEUE } from "../definition.ts";
import { history, type RunRow, type RunStatus, runs } from "../list/sql.ts";
import { processHandler } from "../run/handler.ts";
import { recorderOn } from "../run/recorder.ts";
import type { StepRecord } from "../sql.ts";
import { noRun } from "../start.ts";
import type { Processes, WorkedRun } from "./processes.ts";
import { standing } from "./text.ts";

export interface ProcessDesk extends Desk {
  /** Of the app's code. */
  processes: readonly AnyProcess[];
  application: string | null;
  revision: number;
  use: readonly Middleware[];
  maxPayloadBytes: number;
  /** The app, for requests that steps send. */
  requestsOf: RequestsOf;
  /** Keys of the app's code. */
  keys: ReadonlyMap<string, JwtKey>;
  /** Refuses references that the app does not allow operators. */
  refuseSecrets: (where: string, secrets: readonly SecretRef[]) => void;
  log: Logger;
  /** Runs what has to end when `stop` resolves: the process, or the client, comes to its end. */
  stoppable: <T>(work: (stop: Promise<void>) => Promise<T>) => Promise<T>;
}

const MORE = `Prints each step on stderr when it begins and when it has ended. Ctrl-C gives the run back to the workers.
Exit codes here:
  0  the run has ended, or waits: for a signal, a time, or an operator
  1  a step failed, or the run could not be worked on now`;

/** Where an operator has to decide first, or nothing can be done any more. */
const REFUSED: Readonly<Partial<Record<RunStatus, (id: string) => string>>> = {
  error: (id) => `it is in error; \`pawl processes restart ${id}\` first`,
  held: (id) => `it is held; \`pawl processes release ${id}\` first`,
  running: () => "a worker is running a step of it right now",
};

export const work: Verb<Processes["work"], ProcessDesk> = verb({
  help: "Work on one run now, in this process, even if its next attempt is not due",
  more: MORE,
  examples: [["pawl processes work 42", "until it ends, waits or fails"]],
  input: { id: required(numberId("the run")) },
  args: ["id"],
  needsApp: true,
  changes: true,
  run: (desk: ProcessDesk, { id }, act) =>
    desk.stoppable((stop) => workOn(desk, id, { stop, act })),
  text: ({ run }) => `run ${run.id}: ${standing(run)}`,
  failure: ({ run }) => {
    if (run.status !== "retry" && run.status !== "error") return undefined;
    const message = `run ${run.id}: step ${run.step} failed: ${run.error?.message}; see \`pawl processes show ${run.id}\``;
    return new PawlError("step_failed", message, { data: { id: run.id } });
  },
});

async function workOn(
  desk: ProcessDesk,
  id: string,
  { stop, act }: { stop: Promise<void>; act: Calling },
): Promise<WorkedRun> {
  const { store, log } = desk;
  const before = await found(desk, id);
  if (before.endedAt !== null && before.status !== "error") throw noRun(id, "it has ended");
  const refused = REFUSED[before.status]?.(id);
  if (refused !== undefined) throw notWorked(id, refused);
  const process = processOf(desk, before);
  const isOffHere = offHere(before.process, await groupsOf(store));
  if (await isOffHere()) throw notWorked(id, "a file or PAWL_OFF on this host holds it");
  // before: a step that this process has begun must not be missing when it dies
  await recordAct(store, { ...act, target: `task:${id}` });
  const last = (await history(store, id)).at(-1)?.no ?? 0;
  const tools = {
    recorder: recorderOn(store, log),
    checkRequest: requestChecker(
      desk.requestsOf,
      store,
      keyRing(store, desk.keys, desk.refuseSecrets),
    ),
    bytesMax: desk.maxPayloadBytes,
    ...telling(desk),
  };
  const did = await runOne(id, {
    store,
    handler: processHandler(process, tools),
    use: desk.use,
    application: desk.application ?? "",
    revision: desk.revision,
    resultBytesMax: desk.maxPayloadBytes,
    log,
    stop,
    isOffHere,
  });
  if (did.did === "stop") throw notWorked(id, "this process was stopped, and it was given back");
  if (did.did === "nothing") throw nothingDone(id, did.why);
  const run = await found(desk, id);
  const steps = (await history(store, id)).filter(({ no }) => no > last);
  if (run.status === "pending" && !did.outcome.ok)
    throw notWorked(id, `it was turned off before step ${run.step}; see \`pawl why ${id}\``);
  return { run, steps };
}

async function found({ store }: Desk, id: string): Promise<RunRow> {
  const [run] = await runs(store, { id, limit: 1 });
  if (run === undefined) throw noRun(id);
  return run;
}

function processOf({ processes, application }: ProcessDesk, run: RunRow): AnyProcess {
  const { id, process: name, version } = run;
  const found = allVersions(processes).find((one) => one.name === name && one.version === version);
  if (found !== undefined) return found;
  throw new PawlError(
    "unknown_kind",
    `run ${id}: app "${application}" does not define process "${name}" version ${version}; use the config of the app that does`,
    { data: { id, process: name, version } },
  );
}

function offHere(name: string, groups: Groups): () => Promise<boolean> {
  const scopes = ["all", `queue:${PROCESSES_QUEUE}`, `process:${name}`];
  const here = localSwitches(process.env, [], groups);
  return async () => (await here.read()).some((one) => scopes.includes(one));
}

function telling({ report }: Desk): {
  began: (step: string, attempt: number) => void;
  recorded: (record: StepRecord) => void;
} {
  return {
    began: (step, attempt) =>
      report(`${step}: begins${attempt > 1 ? `, attempt ${attempt}` : ""}`, "line"),
    recorded: (record) => {
      if (record.outcome !== "began" || typeof record.error === "string")
        report(recordText(record), "line");
    },
  };
}

function recordText({ step, outcome, tookMs, error, message }: StepRecord): string {
  const took = tookMs === undefined ? "" : ` after ${Math.round(tookMs)} ms`;
  const said = typeof error === "string" ? messageIn(error) : message;
  const what = outcome === "began" ? "interrupted" : outcome;
  return `${step}: ${what}${took}${said === null || said === undefined ? "" : `: ${said}`}`;
}

function messageIn(error: string): string {
  return (JSON.parse(error) as { message: string }).message;
}

function nothingDone(id: string, why: Extract<RunOne, { did: "nothing" }>["why"]): PawlError {
  if (why === undefined)
    return notWorked(id, "it has ended meanwhile, or waits in its lane behind another run");
  if (why.outcome === "running") return notWorked(id, "a worker is running a step of it right now");
  if (why.outcome === "busy")
    return notWorked(id, "others hold its limits all the time; try again");
  const { reason = "the gate", until } = why.detail ?? {};
  const end = until === undefined || until === null ? "" : ` until ${until}`;
  return notWorked(id, `it is held (${reason})${end}; see \`pawl why ${id}\``);
}

function notWorked(id: string, why: string): PawlError {
  return new PawlError("run_not_worked", `run ${id}: ${why}`, { data: { id } });
}
