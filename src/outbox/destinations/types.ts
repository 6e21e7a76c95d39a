/** What every destination type is: a value that says how one event is delivered once. It never retries by itself. */

import type { Logger } from "../../base/log.ts";
import type { RetryPolicy } from "../../kernel/retry.ts";
import type { QueueBehaviourOptions } from "../../queue/queue-options.ts";

export interface OutboxEvent {
  /** The same at every try and at every destination: receivers drop duplicates by it. */
  id: string;
  name: string;
  aggregateType: string;
  aggregateId: string;
  /** ISO 8601. */
  occurredAt: string;
  payload: unknown;
  meta: Record<string, unknown>;
}

export interface Delivery {
  deliveryId: string;
  destinationId: string;
  /** The name under which the app defined the destination. */
  destinationKey: string;
  /** 1-based. */
  attempt: number;
  event: OutboxEvent;
}

export interface DeliveryContext {
  signal: AbortSignal;
  log: Logger;
}

/** Kept with the attempt, for people. */
export interface DeliverySuccess {
  status?: number;
  summary?: string;
  durationMs?: number;
  response?: string;
}

export type DeliveryOrder = "none" | "aggregate" | "all";

export interface DestinationDefinition {
  readonly type: string;
  /** As the catalogue shows it: never a secret. */
  readonly config: Record<string, unknown>;
  readonly retry?: RetryPolicy;
  /** Deliveries about the same aggregate one after the other, or all of them; default `none`. */
  readonly order?: DeliveryOrder;
  /** Limits of the destination's queue. */
  readonly queue?: QueueBehaviourOptions;
  readonly timeoutMs: number;
  /** Throws when something that deliveries will need is missing here, such as a secret's variable. */
  check?(): void;
  /**
   * One try. Resolves when the receiver has accepted the event.
   *
   * @throws anything else; `data.permanent` of a PawlError says that no try can help, `data.retryAfterMs`
   * that none may come sooner
   */
  deliver(delivery: Delivery, context: DeliveryContext): Promise<DeliverySuccess>;
}
