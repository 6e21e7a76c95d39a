/**
 * What every destination is: a value that says how one event is delivered once. It never retries by itself. A type of
 * destinations makes such values from a config, so that operators can add some while the app runs.
 */

import type { Logger } from "../../base/log.ts";
import type { RetryPolicy } from "../../kernel/retry.ts";
import type { QueueBehaviourOptions } from "../../queue/queue-options.ts";
import type { HttpSender } from "../../requests/sender.ts";
import type { Transaction } from "../../store/transaction.ts";
import type { ConfigFields } from "./fields.ts";

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
  /** The name of the destination. */
  destinationKey: string;
  /** 1-based. */
  attempt: number;
  /** 0 is the first time; a replay has a number of its own and the event's id. */
  replay: number;
  event: OutboxEvent;
}

export interface DeliveryContext {
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** The app's sender: deadline, size cap and the guard against private addresses. */
  readonly http: HttpSender;
  /** The delivery's own transaction: what is written through it commits together with the delivery's outcome. */
  readonly tx: Transaction;
}

/** Kept with the attempt, for people. */
export interface DeliverySuccess {
  status?: number;
  summary?: string;
  durationMs?: number;
  response?: string;
  /** Of the answer; the values of secret ones masked. */
  headers?: Record<string, string>;
  timings?: object;
  /** Accepted, but no more after this: why. The destination is turned off. */
  disable?: string;
}

export type DeliveryOrder = "none" | "aggregate" | "all";

export interface DestinationDefinition {
  readonly type: string;
  /** As the catalogue shows it: never a secret. */
  readonly config: Record<string, unknown>;
  readonly retry?: RetryPolicy;
  /** Deliveries about the same aggregate one after the other, or all of them; default `none`. */
  readonly order?: DeliveryOrder;
  /** Limits and breaker of the destination's queue. */
  readonly queue?: QueueBehaviourOptions;
  readonly timeoutMs: number;
  /** Every event is accepted without being read: `deliver` is not called. */
  readonly acceptsUnread?: true;
  /** Throws when something that deliveries will need is missing here, such as a secret's variable. */
  check?(): void;
  /** Throws when the sender would refuse its host each time; `allow` as in the app's `http`. */
  checkHost?(allow: readonly string[]): void;
  /**
   * One try. Resolves when the receiver has accepted the event.
   *
   * @throws anything else; in `data` of a PawlError `permanent` says that no try can help, `retryAfterMs` that none may
   * come sooner, `isReceiverUp` that the breaker has nothing to count, and `disable` (a text saying why) that the
   * receiver wants no more: the destination is turned off
   */
  deliver(delivery: Delivery, context: DeliveryContext): Promise<DeliverySuccess>;
  /** Closes what deliveries have opened, such as a broker's connection. */
  close?(): Promise<void>;
}

/** A sort of destinations that operators can add. */
export interface DestinationType {
  /** Its technical name, such as `webhook`. */
  readonly type: string;
  /** For people. */
  readonly label: string;
  readonly fields: ConfigFields;
  /** Makes a destination of a config that fits the fields; secrets in it are still references. @throws PawlError */
  define(config: Record<string, unknown>): DestinationDefinition;
}
