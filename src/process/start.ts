/** Starts runs and signals them: checked at the call, then written alone or in the caller's transaction. */

import { PawlError, shown } from "../base/errors.ts";
import { toJson } from "../base/json.ts";
import { didYouMean } from "../base/suggest.ts";
import type { TaskId } from "../kernel/task.ts";
import { type FieldsOf, nullIsNone, readOptions, readValue } from "../options/field.ts";
import { integer, name, numberId, time } from "../options/kinds.ts";
import { anything, object } from "../options/parts.ts";
import { LANE_CHARS_MAX } from "../queue/enqueue.ts";
import type { Executor } from "../store/executor.ts";
import type { Store } from "../store/store.ts";
import { together } from "../store/together.ts";
import {
  chosenTransaction,
  type InTransaction,
  inForeignTransaction,
} from "../store/transaction.ts";
import type { AnyProcess, ProcessInput } from "./define-process.ts";
import { type RunText, runJson } from "./run-json.ts";
import { signalRun, startProcesses } from "./sql.ts";
import { isProcess } from "./step.ts";

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
  { store, alone }: StartsOf,
  process: P,
  input: ProcessInput<P>,
  given: StartOptions & InTransaction,
): Promise<Started> {
  if (!app.processes.includes(process)) throw unknownProcess(app, process);
  const options = readOptions(`start "${process.name}"`, CALL, given);
  const tx = chosenTransaction(given);
  const { tx: _, ...run } = options;
  const one = await runJson(process, input, { ...run, bytesMax: app.maxPayloadBytes });
  if (tx === undefined) return alone(one);
  const write = async (executor: Executor, xid: string | null) =>
    (await startProcesses(executor, `[${one.text}]`, xid))[0];
  return inForeignTransaction(tx, store.render, write);
}

/** How a client starts runs, in the caller's transactions and alone. */
export interface StartsOf {
  store: Store;
  /** Together with others that come at about the same time; but one with a key may have to wait for a transaction that has it. */
  alone: (run: RunText) => Promise<Started>;
}

export function startsOn(store: Store): StartsOf {
  const write = (runs: readonly string[]) => startProcesses(store, `[${runs.join(",")}]`, null);
  const send = together(write);
  return {
    store,
    alone: async ({ text, isKeyed }) => {
      if (!isKeyed) return send({ row: text, chars: text.length });
      const [started] = await write([text]);
      if (started === undefined)
        throw new PawlError("database_error", "start: the database returned no row");
      return started;
    },
  };
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
  const write = (executor: Executor, xid: string | null) =>
    signalRun(executor, { id, name: own, payload: text, ...(by !== undefined && { by }) }, xid);
  refuseUnsent(
    await (tx === undefined ? write(store, null) : inForeignTransaction(tx, store.render, write)),
    { id, signal: own },
  );
}

/** @throws PawlError `task_not_found`, `invalid_option` */
export function refuseUnsent(
  outcome: string | undefined,
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
