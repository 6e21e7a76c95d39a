/** The built-in types of destinations, and the interface for your own. */

export type { CommonOptions } from "./common-options.ts";
export { DeliveryFailed, type DeliveryFailedOptions } from "./delivery-failed.ts";
export type { Envelope } from "./envelope.ts";
export type { ConfigField, ConfigFields, FieldKind } from "./fields.ts";
export { type FlowContext, type FlowHandler, type FlowOptions, flow } from "./flow.ts";
export { refuseFlowLoops } from "./flow-loops.ts";
export { type ToJobOptions, toJob } from "./job.ts";
export { nullDestination } from "./null.ts";
export { type RabbitmqOptions, rabbitmq } from "./rabbitmq.ts";
export { defineDestinationType } from "./registry.ts";
export type {
  Delivery,
  DeliveryContext,
  DeliverySuccess,
  DestinationDefinition,
  DestinationType,
  OutboxEvent,
} from "./types.ts";
export { type WebhookOptions, webhook } from "./webhook.ts";
