/**
 * Runs a delivery: one event, one destination, one try. What the code defines is delivered by the workers of that code;
 * what an operator made, by every worker that knows its type.
 */

import { ofIt, PawlError } from "../base/errors.ts";
import { parsedLazily } from "../base/json-text.ts";
import { maskText } from "../base/mask.ts";
import { isA, read } from "../base/thrown.ts";
import { tell, type WorkObserver } from "../kernel/heard.ts";
import { InvalidPayload, type TaskContext, type TaskHandler } from "../kernel/task.ts";
import { Unrecoverable } from "../kernel/thrown.ts";
import type { HttpSender } from "../sender/sender.ts";
import type { Executor } from "../store/executor.ts";
import { closeQuietly } from "./destinations/close.ts";
import type { References } from "./destinations/references.ts";
import type {
  DeliveryContext,
  DeliverySuccess,
  DestinationDefinition,
  DestinationType,
  OutboxEvent,
} from "./destinations/types.ts";
import { EventCache } from "./event-cache.ts";
import { DELIVERY_KIND, type NamedDestination, queueOfDestination } from "./routes.ts";
import { destinationIds, disableDestination, type EventBody } from "./sql.ts";
import { StoredDestinations } from "./stored-destinations.ts";

/** Over the destination's own deadline, so that its error, which says more, comes first. */
const TIMEOUT_MARGIN_MS = 5_000;
/** Of an attempt for an operator's destination, whose deadline only the try reads: a third of the default one. */
const STORED_SLOW_MS = 5_000;
/** No destination has a longer deadline. */
const DELIVERY_TIMEOUT_MS_MAX = 600_000;

export interface DeliveryOptions {
  executor: Executor;
  /** Destinations of the app's code. */
  destinations: readonly NamedDestination[];
  /** Types of destinations that operators may have used. */
  types: readonly DestinationType[];
  /** What these may refer to. */
  references?: References;
  http: HttpSender;
  observer?: WorkObserver | undefined;
}

interface Target {
  readonly id: string;
  readonly name: string;
  readonly definition: DestinationDefinition;
}

type FindTarget = () => Target | Promise<Target>;

export interface Deliverer {
  readonly handlers: TaskHandler[];
  /** Closes what its destinations have opened. */
  close(): Promise<void>;
}

export async function deliverer(options: DeliveryOptions): Promise<Deliverer> {
  const { executor, destinations, types, references } = options;
  const events = new EventCache(executor);
  const stored = new StoredDestinations(executor, types, references);
  const ids = new Map((await destinationIds(executor)).map((row) => [row.name, String(row.id)]));
  const run = (find: FindTarget, payload: unknown, context: TaskContext) =>
    deliver(find, payload, context, { ...options, events });
  return {
    handlers: [
      ...destinations.map(({ name, queue, definition }) => ({
        queue,
        kind: DELIVERY_KIND,
        version: 1,
        timeoutMs: definition.timeoutMs + TIMEOUT_MARGIN_MS,
        slowMs: Math.ceil(definition.timeoutMs / 3),
        run: (payload: unknown, context: TaskContext) =>
          run(() => ({ id: ids.get(name) ?? "", name, definition }), payload, context),
      })),
      ...types.map(({ type }) => ({
        queue: queueOfDestination("*"),
        kind: `${DELIVERY_KIND}:${type}`,
        version: 1,
        timeoutMs: DELIVERY_TIMEOUT_MS_MAX + TIMEOUT_MARGIN_MS,
        slowMs: STORED_SLOW_MS,
        run: (payload: unknown, context: TaskContext) =>
          run(() => storedTarget(stored, context.queue), payload, context),
      })),
    ],
    close: async () => {
      const definitions = [...destinations.map((one) => one.definition), ...stored.definitions];
      await Promise.all(definitions.map(closeQuietly));
    },
  };
}

async function storedTarget(stored: StoredDestinations, queue: string): Promise<Target> {
  const target = await stored.ofQueue(queue);
  if (target !== undefined) return target;
  throw new Unrecoverable(`delivery: ${queue} was removed; remove its dead letters`);
}

async function deliver(
  find: FindTarget,
  payload: unknown,
  context: TaskContext,
  { events, executor, http, observer }: DeliveryOptions & { events: EventCache },
): Promise<DeliverySuccess | undefined> {
  if ((await find()).definition.acceptsUnread === true) return undefined;
  const { event, replay } = await loadEvent(events, payload);
  // once more: it may have been changed meanwhile, and what was closed with that must not open again
  const { id, name, definition } = await find();
  context.signal.throwIfAborted(); // its time may be over
  const delivery = {
    deliveryId: context.taskId,
    destinationId: id,
    destinationKey: name,
    attempt: context.attempt,
    replay,
    event,
  };
  try {
    const success = await definition.deliver(delivery, deliveryContext(context, http));
    if (success?.disable !== undefined)
      await disableDestination(executor, name, maskText(success.disable));
    const { taskId, queue, kind, attempt } = context;
    const what = { taskId, queue, kind, attempt, eventId: event.id, eventName: event.name };
    tell(observer, "delivered", { ...what, destination: name });
    return success;
  } catch (error) {
    const why = isA(error, PawlError) ? read(read(error, "data"), "disable") : undefined;
    if (typeof why === "string") await disableDestination(executor, name, maskText(why));
    throw isMissing(error) ? ofIt(`destination "${name}"`, error) : error;
  }
}

/** A variable, a file or a package is not there: who looks for it has to know who refers to it. */
function isMissing(error: unknown): boolean {
  return isA(error, PawlError) && error.code === "invalid_environment";
}

function deliveryContext(context: TaskContext, http: HttpSender): DeliveryContext {
  return {
    get signal() {
      return context.signal;
    },
    get log() {
      return context.log;
    },
    get tx() {
      return context.tx;
    },
    http,
  };
}

async function loadEvent(
  events: EventCache,
  payload: unknown,
): Promise<{ event: OutboxEvent; replay: number }> {
  const { event: id, replay = 0 } = (payload ?? {}) as { event?: unknown; replay?: number };
  if (typeof id !== "string") throw new InvalidPayload("delivery: its payload names no event");
  const event = await events.get(id);
  if (event === undefined) throw new Unrecoverable(`delivery: event ${id} is not there any more`);
  return { event: outboxEvent(event), replay };
}

/** Payload and meta are parsed at the first read: most destinations pass the texts on. */
export function outboxEvent(row: EventBody): Required<OutboxEvent> {
  return parsedLazily({
    id: row.id,
    name: row.name,
    aggregateType: row.aggregateType,
    aggregateId: row.aggregateId,
    occurredAt: row.occurredAt.toISOString(),
    payloadText: row.payloadText,
    metaText: row.metaText,
  });
}
