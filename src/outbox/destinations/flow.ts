/**
 * Delivers an event inside the worker: to a handler of the app, or by raising it again under another name. Writes through
 * `context.tx` commit together with the delivery's outcome. A circle of raised events ends: see HOPS_MAX.
 */

import { PawlError } from "../../base/errors.ts";
import { badOption } from "../../base/options.ts";
import { type FieldsOf, readOptions, type ValueOf, withDefault } from "../../options/field.ts";
import { inForeignTransaction } from "../../store/transaction.ts";
import { eventName } from "../event-fields.ts";
import { checkedEvent } from "../record.ts";
import { COMMON, type CommonOptions, commonDefinition } from "./common-options.ts";
import { deliveryMetaText, payloadTextOf } from "./envelope.ts";
import { raiseEvent } from "./sql.ts";
import type { Delivery, DeliveryContext, DestinationDefinition, OutboxEvent } from "./types.ts";

const WHERE = "flow destination";
const DEFAULTS = { timeoutMs: 30_000 };
export const FORWARDED = "pawl.event.forwarded";
/** An event that was raised again this many times in a row is not raised once more: its routes form a circle. */
export const HOPS_MAX = 10;
/** The event's own was checked when it was recorded. */
const BYTES_MAX = 64 * 1_048_576;

/** The context of every destination, and which delivery it is. */
export interface FlowContext extends DeliveryContext {
  readonly deliveryId: string;
  readonly destinationId: string;
  readonly destinationKey: string;
  /** The number of the attempt, from 1. */
  readonly attempt: number;
  /** The number of the replay; 0: the first delivery. */
  readonly replay: number;
}

/** May run more than once for one event, unless it only writes through `context.tx`. Its return value is not kept. */
export type FlowHandler = (event: OutboxEvent, context: FlowContext) => unknown;

export interface FlowOptions extends CommonOptions {
  /** Name of the raised event; default `pawl.event.forwarded`. Not together with a handler. */
  name?: string;
}

const FIELDS = {
  ...COMMON,
  name: withDefault(FORWARDED, eventName("of the event that is raised")),
} satisfies FieldsOf<FlowOptions>;

/**
 * Returns a destination inside the app. With a handler: calls it. Without: raises the event again as `name`, with the
 * aggregate and payload of the original; its meta has eventId, eventName, deliveryId, destinationId, destinationKey and
 * `hops`, which is at most 10.
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
  return raising(readOptions("flow", FIELDS, handlerOrOptions));
}

function toHandler(handler: FlowHandler, options: CommonOptions): DestinationDefinition {
  if (options !== null && typeof options === "object" && "name" in options) {
    throw badOption(WHERE, "name", "left out when a handler is given", options);
  }
  const common = readOptions("flow", COMMON, options);
  return {
    ...commonDefinition(common, DEFAULTS),
    type: "flow",
    config: { handler: handler.name === "" ? "(anonymous)" : handler.name },
    deliver: async (delivery, context) => {
      await handler(delivery.event, flowContext(delivery, context));
      return { summary: "handled" };
    },
  };
}

function raising({ name, ...common }: ValueOf<typeof FIELDS>): DestinationDefinition {
  return {
    ...commonDefinition(common, DEFAULTS),
    type: "flow",
    config: { name },
    deliver: async (delivery, { tx }) => {
      const insert = raised(name, delivery);
      const { id } = await inForeignTransaction(
        tx,
        (text) => text, // the transaction of a task puts the schema's name in by itself
        async (executor) => (await raiseEvent(executor, insert))[0],
      );
      return { summary: `raised as ${name}, event ${id}` };
    },
  };
}

function raised(name: string, delivery: Delivery): ReturnType<typeof checkedEvent> {
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
  return {
    ...checkedEvent(name, { aggregate, payload: null }, BYTES_MAX),
    payload: payloadTextOf(event),
    meta: deliveryMetaText(delivery, { hops }),
  };
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
