/** What was written since the kit began: read from the database, so only what has committed, by whichever client. */

import type { Executor } from "../store/executor.ts";
import { type EventSince, eventsSince, type Mark, type TaskSince, tasksSince } from "./sql.ts";

const PROCESSES = "processes";
const REQUESTS = "requests";
const DESTINATION = "destination:";

export interface CapturedTask {
  readonly id: string;
  /** Of the job or the process. */
  readonly name: string;
  readonly queue: string;
  /** ready, scheduled, running, done, dead, cancelled … */
  readonly state: string;
  readonly input: unknown;
  readonly meta: unknown;
  /** When it is due; null while it waits for something else. */
  readonly runAt: Date | null;
}

export interface CapturedEvent {
  readonly id: string;
  readonly name: string;
  readonly aggregate: readonly [type: string, id: string];
  readonly payload: unknown;
  readonly meta: unknown;
  /** Where `sendTo` sent it; null for one that was recorded. */
  readonly destination: string | null;
}

export interface CapturedRequest {
  readonly id: string;
  readonly state: string;
  /** method, url, body … */
  readonly request: unknown;
}

/** Named as the calls that write. In the order of their ids. */
export interface Captured {
  enqueued(): Promise<CapturedTask[]>;
  started(): Promise<CapturedTask[]>;
  recorded(): Promise<CapturedEvent[]>;
  /** By `sendTo`, to one destination. */
  sent(): Promise<CapturedEvent[]>;
  requested(): Promise<CapturedRequest[]>;
}

export function captured(executor: Executor, mark: () => Mark): Captured {
  const tasks = async (isWanted: (queue: string) => boolean) =>
    (await tasksSince(executor, mark())).filter(({ queue }) => isWanted(queue));
  const events = async () => (await eventsSince(executor, mark())).map(asEvent);
  return {
    enqueued: async () => (await tasks(isOfJobs)).map(asTask),
    started: async () => (await tasks((queue) => queue === PROCESSES)).map(asTask),
    recorded: async () => (await events()).filter(({ destination }) => destination === null),
    sent: async () => (await events()).filter(({ destination }) => destination !== null),
    requested: async () =>
      (await tasks((queue) => queue === REQUESTS)).map(({ id, state, payload }) => ({
        id,
        state,
        request: payload,
      })),
  };
}

function isOfJobs(queue: string): boolean {
  return queue !== PROCESSES && queue !== REQUESTS && !queue.startsWith(DESTINATION);
}

function asEvent({ aggregate_type, aggregate_id, ...event }: EventSince): CapturedEvent {
  return { ...event, aggregate: [aggregate_type, aggregate_id] };
}

function asTask({ id, kind, queue, state, payload, meta, run_at }: TaskSince): CapturedTask {
  return { id, name: kind, queue, state, input: payload, meta, runAt: run_at };
}
