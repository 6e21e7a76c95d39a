/**
 * Delivers an event inside the worker: to a handler of the app, or raised again under another name. What either writes
 * through `context.tx` commits together with the delivery's outcome. A circle of raised events ends: see HOPS_MAX.
 */

import { PawlError } from "../../base/errors.ts";
import { badOption, refuseUnknownOptions } from "../../base/options.ts";
import { inForeignTransaction } from "../../store/transaction.ts";
import { eventInsert } from "../record.ts";
import { insertEvent } from "../sql.ts";
import { COMMON_OPTIONS, type CommonOptions, commonDefinition } from "./common-options.ts";
import { deliveryMeta } from "./envelope.ts";
import type { Delivery, DeliveryContext, DestinationDefinition, OutboxEvent } from "./types.ts";

const WHERE = "flow destination";
const TIMEOUT_DEFAULT = "30s";
export const FORWARDED = "pawl.event.forwarded";
/** An event that was raised again so often in a row is not raised once more: its routes make a circle. */
export const HOPS_MAX = 10;
/** The event's own was checked when it was recorded. */
const BYTES_MAX = 64 * 1_048_576;

/** Which delivery it is, beside what every destination has. */
export interface FlowContext extends DeliveryContext {
  readonly deliveryId: string;
  readonly destinationId: string;
  readonly destinationKey: string;
  /** 1-based. */
  readonly attempt: number;
  /** 0 is the first time. */
  readonly replay: number;
}

/** May run more than once for one event, unless all that it does goes through `context.tx`. What it returns is not kept. */
export type FlowHandler = (event: OutboxEvent, context: FlowContext) => unknown;

export interface FlowOptions extends CommonOptions {
  /** Of the event that is raised; default `pawl.event.forwarded`. Not together with a handler. */
  name?: string;
}

/**
 * A destination inside the app. With a handler: that is called. Without: the event is raised again as `name`, with the
 * aggregate and the payload of the original, and in its meta eventId, eventName, deliveryId, destinationId,
 * destinationKey and `hops`, which is at most 10.
 *
 * @throws PawlError `invalid_option`
 */
export function flow(handler: FlowHandler, options?: CommonOptions): DestinationDefinition;
export function flow(options?: FlowOptions): DestinationDefinition;
export function flow(
  handlerOrOptions: FlowHandler | FlowOptions = {},
  more: CommonOptions = {},
): DestinationDefinition {
  if (typeof handlerOrOptions === "function") return toHandler(handlerOrOptions, more);
  refuseUnknownOptions("flow", handlerOrOptions, ["name", ...COMMON_OPTIONS]);
  return raising(handlerOrOptions);
}

function toHandler(handler: FlowHandler, options: CommonOptions): DestinationDefinition {
  if (options !== null && typeof options === "object" && "name" in options) {
    throw badOption(
      WHERE,
      "name",
      "left out beside a handler, which raises nothing by itself",
      options,
    );
  }
  refuseUnknownOptions("flow", options, COMMON_OPTIONS);
  return {
    ...commonDefinition(WHERE, options, { timeout: TIMEOUT_DEFAULT }),
    type: "flow",
    config: { handler: handler.name === "" ? "(anonymous)" : handler.name },
    deliver: async (delivery, context) => {
      await handler(delivery.event, flowContext(delivery, context));
      return { summary: "handled" };
    },
  };
}

function raising(options: FlowOptions): DestinationDefinition {
  const { name = FORWARDED } = options;
  eventInsert(name, { aggregate: ["event", "1"], payload: null }, BYTES_MAX); // refuses a bad name
  return {
    ...commonDefinition(WHERE, options, { timeout: TIMEOUT_DEFAULT }),
    type: "flow",
    config: { name },
    deliver: async (delivery, { tx }) => {
      const insert = raised(name, delivery);
      const { id } = await inForeignTransaction(
        tx,
        (text) => text, // the transaction of a task puts the schema's name in by itself
        async (executor) => (await insertEvent(executor, insert, null))[0],
      );
      return { summary: `raised as ${name}, event ${id}` };
    },
  };
}

function raised(name: string, delivery: Delivery): ReturnType<typeof eventInsert> {
  const { event } = delivery;
  const hops = hopsOf(event.meta) + 1;
  if (hops > HOPS_MAX) {
    throw new PawlError(
      "delivery_failed",
      `${WHERE} "${delivery.destinationKey}": event ${event.id} (${event.name}) was raised ${HOPS_MAX} times already, so its routes make a circle; give the event another \`name\`, or narrow the route's pattern`,
      { data: { permanent: true, isReceiverUp: true, hops: HOPS_MAX } },
    );
  }
  const aggregate = [event.aggregateType, event.aggregateId] as const;
  const meta = { ...deliveryMeta(delivery), hops };
  return eventInsert(name, { aggregate, payload: event.payload, meta }, BYTES_MAX);
}

/** An event that no delivery raised may hold anything under this name. */
function hopsOf({ hops, deliveryId }: Record<string, unknown>): number {
  const isRaised = typeof deliveryId === "string";
  return isRaised && typeof hops === "number" && Number.isInteger(hops) && hops > 0 ? hops : 0;
}

/** Getters: a transaction or a signal that nobody asks for is not made. */
function flowContext(delivery: Delivery, context: DeliveryContext): FlowContext {
  const { deliveryId, destinationId, destinationKey, attempt, replay } = delivery;
  return {
    deliveryId,
    destinationId,
    destinationKey,
    attempt,
    replay,
    http: context.http,
    get signal() {
      return context.signal;
    },
    get log() {
      return context.log;
    },
    get tx() {
      return context.tx;
    },
  };
}
