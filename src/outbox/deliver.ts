/** Runs a delivery: the handler of every destination's queue. One event, one destination, one try. */

import { InvalidPayload, type TaskContext, type TaskHandler } from "../kernel/task.ts";
import { Unrecoverable } from "../kernel/thrown.ts";
import type { Executor } from "../store/executor.ts";
import type { OutboxEvent } from "./destinations/types.ts";
import { EventCache } from "./event-cache.ts";
import { DELIVERY_KIND, type NamedDestination } from "./routes.ts";
import { destinationIds, type EventBody } from "./sql.ts";

/** Over the destination's own deadline, so that its error, which says more, comes first. */
const TIMEOUT_MARGIN_MS = 5_000;

export async function deliveryHandlers(
  executor: Executor,
  destinations: readonly NamedDestination[],
): Promise<TaskHandler[]> {
  const events = new EventCache(executor);
  const ids = new Map((await destinationIds(executor)).map((row) => [row.name, String(row.id)]));
  return destinations.map((destination) => ({
    queue: destination.queue,
    kind: DELIVERY_KIND,
    version: 1,
    timeoutMs: destination.definition.timeoutMs + TIMEOUT_MARGIN_MS,
    run: async (payload: unknown, context: TaskContext) => {
      const event = await loadEvent(events, payload);
      return destination.definition.deliver(
        {
          deliveryId: context.taskId,
          destinationId: ids.get(destination.name) ?? "",
          destinationKey: destination.name,
          attempt: context.attempt,
          event,
        },
        { signal: context.signal, log: context.log },
      );
    },
  }));
}

async function loadEvent(events: EventCache, payload: unknown): Promise<OutboxEvent> {
  const id = (payload as { event?: unknown } | null)?.event;
  if (typeof id !== "string") throw new InvalidPayload("delivery: its payload names no event");
  const event = await events.get(id);
  if (event === undefined) throw new Unrecoverable(`delivery: event ${id} is not there any more`);
  return outboxEvent(event);
}

function outboxEvent(row: EventBody): OutboxEvent {
  return {
    id: row.id,
    name: row.name,
    aggregateType: row.aggregate_type,
    aggregateId: row.aggregate_id,
    occurredAt: row.occurred_at.toISOString(),
    payload: row.payload,
    meta: row.meta,
  };
}
