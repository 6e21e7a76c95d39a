/**
 * Steps that wait for what they have started: a run, a request, or the deliveries of an event. It is started together with the row that says
 * so: exactly one for each time that the step is come to.
 */

import { badOption, isRecord } from "../../base/options.ts";
import { Advance, Unrecoverable } from "../../kernel/thrown.ts";
import { eventInsert, type RecordEvent } from "../../outbox/record.ts";
import type { RequestSpec } from "../../requests/dispatch/spec.ts";
import { runJson } from "../run-json.ts";
import type { EventState, StepRecord, StepRow } from "../sql.ts";
import type { StepAttempt } from "./step-attempt.ts";

const SIGNAL = "pawl:task:";
/** Its deliveries have all ended; `dead` is told apart. */
const EVENT_ENDS: ReadonlySet<EventState["status"]> = new Set([
  "published",
  "cancelled",
  "unrouted",
  "forgotten",
]);

export async function child(attempt: StepAttempt): Promise<void> {
  // one in error is restarted by an operator, or abandoned
  await wait(attempt, { begin: startRun, ...ofTask(attempt, "error", { output: null }) });
}

async function startRun(attempt: StepAttempt): Promise<Begun> {
  const { step, task, bytesMax } = attempt;
  const { child: spec } = step;
  if (spec === null) throw new Unrecoverable(`step "${step.name}": it has no process`);
  const start = await attempt.performing(async (context) => {
    const named = { key: spec.key?.(context), lane: spec.lane?.(context) };
    const input = await step.run?.(context);
    return runJson(spec.process, input, { bytesMax, ...named, meta: task.meta });
  });
  return { start: start.text };
}

export async function send(attempt: StepAttempt): Promise<void> {
  const waitsOn = attempt.step.onDead === "wait" ? "dead" : null;
  const late = { result: null, error: null };
  await wait(attempt, { begin: writeRequest, ...ofTask(attempt, waitsOn, late) });
}

async function writeRequest(attempt: StepAttempt): Promise<Begun> {
  const request = await attempt.performing(async (context) =>
    attempt.checkRequest((await attempt.step.run?.(context)) as RequestSpec),
  );
  return { request };
}

export async function sendEvent(attempt: StepAttempt): Promise<void> {
  await wait(attempt, {
    begin: recordEvent,
    over: ({ event }) => {
      if (event === undefined) return undefined;
      const isDead = event.status === "dead" && attempt.step.onDead === "continue";
      return isDead || EVENT_ENDS.has(event.status) ? { output: eventEnd(event) } : undefined;
    },
    late: ({ event }) => ({ ...(event && eventEnd(event)), status: "timeout" }),
  });
}

function eventEnd({ id, status, deliveries }: EventState): object {
  return { id, status, deliveries };
}

async function recordEvent(attempt: StepAttempt): Promise<Begun> {
  const { step, bytesMax } = attempt;
  const event = await attempt.performing(async (context) => {
    const given = await step.run?.(context);
    if (!isRecord(given))
      throw badOption(`step "${step.name}"`, "event", "a function that returns an event", given);
    const { name, ...options } = given;
    return eventInsert("record", name as string, options as unknown as RecordEvent, bytesMax);
  });
  const { payload, meta, ...named } = event;
  return { event: `${JSON.stringify(named).slice(0, -1)},"payload":${payload},"meta":${meta}}` };
}

type Begun = Pick<StepRecord, "start" | "request" | "event">;

interface Waited {
  begin: (attempt: StepAttempt) => Promise<Begun>;
  /** What has ended, of the row that waits; undefined: it has not. */
  over: (waiting: StepRow) => { output: unknown; took?: string } | undefined;
  /** The output when it has not ended in time. */
  late: (waiting: StepRow) => object;
}

/** @param waitsOn the status that is no end: an operator lets the task go on */
function ofTask(
  { past }: StepAttempt,
  waitsOn: string | null,
  late: object,
): Pick<Waited, "over" | "late"> {
  return {
    over: ({ signal }) => {
      const ended = past.lastSignal(signal);
      if (ended === undefined) return undefined;
      const { status } = ended.payload as { status: string };
      return status === waitsOn ? undefined : { output: ended.payload, took: ended.id };
    },
    late: ({ signal }) => ({ id: signal?.slice(SIGNAL.length), status: "timeout", ...late }),
  };
}

async function wait(attempt: StepAttempt, { begin, over, late }: Waited): Promise<void> {
  const { step, past, after } = attempt;
  const waiting = past.underWay(step.name);
  if (waiting === undefined) {
    const untilMs = step.timeoutMs ?? undefined;
    const begun = await begin(attempt);
    const waits = attempt.told({ outcome: "waiting", next: step.name });
    await attempt.record([{ ...waits, ...begun, ...(untilMs !== undefined && { untilMs }) }]);
    throw new Advance(untilMs);
  }
  const ended = over(waiting);
  if (ended !== undefined) {
    const { output, ...took } = ended;
    const ending = { outcome: "done", next: after, output: JSON.stringify(output) } as const;
    return attempt.end({ ...ending, ...took });
  }
  if (waiting.is_over === true) {
    const output = JSON.stringify(late(waiting));
    const message = `${whatOf(waiting)} did not end in time`;
    return attempt.end({ outcome: "done", next: after, output, message });
  }
  const { left_ms: leftMs } = waiting;
  throw new Advance(leftMs === undefined ? undefined : Math.max(leftMs, 1));
}

function whatOf({ signal, event }: StepRow): string {
  if (event === undefined) return `task ${signal?.slice(SIGNAL.length)}`;
  return `the deliveries of event ${event.id}`;
}
