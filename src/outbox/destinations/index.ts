/** The destination types that are built in, and the interface for further ones. */

export { nullDestination } from "./null.ts";
export type {
  Delivery,
  DeliveryContext,
  DeliverySuccess,
  DestinationDefinition,
  OutboxEvent,
} from "./types.ts";
export { type WebhookOptions, webhook } from "./webhook.ts";
