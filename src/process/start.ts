/** Starts runs and signals them: checked at the call, then written alone or in the caller's transaction. */

import { PawlError, shown } from "../base/errors.ts";
import { jsonForm, toJson } from "../base/json.ts";
import { didYouMean } from "../base/suggest.ts";
import type { TaskId } from "../kernel/task.ts";
import { type FieldsOf, nullIsNone, readOptions, readValue } from "../options/field.ts";
import { integer, name, numberId, time } from "../options/kinds.ts";
import { anything, object } from "../options/parts.ts";
import { checkInput } from "../options/schema.ts";
import { LANE_CHARS_MAX, nameJson } from "../queue/enqueue.ts";
import type { Executor } from "../store/executor.ts";
import type { Store } from "../store/store.ts";
import {
  chosenTransaction,
  type InTransaction,
  inForeignTransaction,
} from "../store/transaction.ts";
import { type AnyProcess, isProcess, type ProcessInput } from "./define-process.ts";
import { signalRun, startProcesses } from "./sql.ts";

/** Whose processes they are. */
export interface ProcessesOf {
  processes: readonly AnyProcess[];
  maxPayloadBytes: number;
}

export interface StartOptions {
  /** While a run with this key lives, the call returns `duplicate` with its id. Default: what the process's `key` returns. */
  key?: string | null;
  /** Runs with the same lane run one at a time, in order. Default: what the process's `lane` returns. */
  lane?: string | null;
  /** Not before this time. */
  runAt?: Date;
  /** 0 runs first; default 1. */
  priority?: number;
  /** Kept beside the input: trace, tenant … */
  meta?: Record<string, unknown> | null;
}

export interface Started {
  id: TaskId;
  outcome: "created" | "duplicate";
}

const START = {
  key: nullIsNone(name("instead of what the process's `key` gives")),
  lane: nullIsNone(name("instead of what the process's `lane` gives", "name", LANE_CHARS_MAX)),
  runAt: time("not before this time"),
  priority: integer({ help: "0 runs first", min: 0, max: 3 }),
  meta: nullIsNone(object<Record<string, unknown>>("kept beside the input")),
} satisfies FieldsOf<StartOptions>;
const CALL = { ...START, tx: anything("the transaction, which `chosenTransaction` checks") };
const SIGNAL = { by: name("who sends it") } satisfies FieldsOf<SignalOptions>;

export interface SignalOptions {
  /** Who sends it, for the run's history. */
  by?: string;
}

/** @throws PawlError `unknown_kind`, `invalid_payload`, `payload_not_json`, `payload_too_large`, `not_a_transaction` */
export async function startRun<P extends AnyProcess>(
  app: ProcessesOf,
  store: Store,
  process: P,
  input: ProcessInput<P>,
  given: StartOptions & InTransaction,
): Promise<Started> {
  if (!app.processes.includes(process)) throw unknownProcess(app, process);
  const options = readOptions(`start "${process.name}"`, CALL, given);
  const tx = chosenTransaction(given);
  const runs = `[${await runJson(app, process, input, options)}]`;
  const write = async (executor: Executor, xid: string | null) =>
    (await startProcesses(executor, runs, xid))[0];
  const started = await (tx === undefined
    ? write(store, null)
    : inForeignTransaction(tx, store.render, write));
  if (started === undefined)
    throw new PawlError("database_error", "start: the database returned no row");
  return started;
}

async function runJson(
  app: ProcessesOf,
  process: AnyProcess,
  input: unknown,
  { key, lane, runAt, priority, meta }: Omit<StartOptions, "tx">,
): Promise<string> {
  const where = `process "${process.name}"`;
  const bytesMax = app.maxPayloadBytes;
  const { text, isSame } = jsonForm(input, { what: `input of ${where}`, bytesMax });
  await checkInput(
    { what: where, kind: process.name, schema: process.input },
    isSame ? input : JSON.parse(text),
    isSame,
  );
  const chosenKey = key ?? process.key?.(input as never);
  const chosenLane = lane ?? process.lane?.(input as never);
  const fields = [
    `"process":${JSON.stringify(process.name)},"version":${process.version},"input":${text}`,
    ...(chosenKey === undefined ? [] : [`"key":${nameJson(where, "key", chosenKey)}`]),
    ...(chosenLane === undefined ? [] : [`"lane":${nameJson(where, "lane", chosenLane)}`]),
    ...(runAt === undefined ? [] : [`"run_at":"${runAt.toISOString()}"`]),
    ...(priority === undefined ? [] : [`"priority":${priority}`]),
    ...(meta === undefined || meta === null
      ? []
      : [`"meta":${toJson(meta, { what: `meta of ${where}`, bytesMax })}`]),
  ];
  return `{${fields.join(",")}}`;
}

function unknownProcess(app: ProcessesOf, given: unknown): PawlError {
  const names = app.processes.map((one) => one.name);
  if (!isProcess(given)) {
    return new PawlError(
      "unknown_kind",
      `start: expected one of the app's processes, made by defineProcess(...), got ${shown(given)}`,
    );
  }
  return new PawlError(
    "unknown_kind",
    `start: process ${shown(given.name)} is not in the app's \`processes\`; add it there, or ${didYouMean(given.name, names)}`,
  );
}

/** @throws PawlError `invalid_option`, `task_not_found`, `payload_not_json`, `payload_too_large` */
export async function sendSignal(
  app: Pick<ProcessesOf, "maxPayloadBytes">,
  store: Store,
  run: string | number | bigint,
  signal: string,
  payload: unknown,
  given: SignalOptions & InTransaction,
): Promise<void> {
  const where = "signal";
  const { by } = readOptions(where, { ...SIGNAL, tx: CALL.tx }, given);
  const id = readValue(where, "run", numberId("the run"), run);
  const own = readValue(where, "name", name("the signal"), signal);
  const text = toJson(payload ?? null, {
    what: `payload of signal "${own}"`,
    bytesMax: app.maxPayloadBytes,
  });
  const tx = chosenTransaction(given);
  const write = (executor: Executor) =>
    signalRun(executor, { id, name: own, payload: text, ...(by !== undefined && { by }) });
  refuseUnsent(
    await (tx === undefined ? write(store) : inForeignTransaction(tx, store.render, write)),
    { id, signal: own },
  );
}

/** @throws PawlError `task_not_found`, `invalid_option` */
export function refuseUnsent(
  outcome: string,
  { id, signal }: { id: string; signal: string },
): void {
  if (outcome === "sent") return;
  if (outcome === "unawaited") {
    throw new PawlError(
      "invalid_option",
      `run ${id}: no step of it waits for a signal ${shown(signal)}; see \`pawl processes versions\``,
      { data: { id } },
    );
  }
  throw noRun(id, outcome === "ended" ? "it has ended" : undefined);
}

export function noRun(id: string, why = "there is none, neither live nor ended"): PawlError {
  return new PawlError("task_not_found", `run ${id}: ${why}; see \`pawl processes list\``, {
    data: { id },
  });
}
