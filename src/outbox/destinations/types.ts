/**
 * A destination is a value that says how one event is delivered once. It never retries by itself. A type of destinations
 * makes such values from a config, so that operators can add some while the app runs.
 */

import type { Logger } from "../../base/log.ts";
import type { RetryPolicy } from "../../kernel/retry.ts";
import type { QueueBehaviourOptions } from "../../queue/queue-options.ts";
import type { HttpSender } from "../../sender/sender.ts";
import type { Transaction } from "../../store/transaction.ts";
import type { ConfigFields } from "./fields.ts";

export interface OutboxEvent {
  /** The same in every attempt and for every destination: receivers recognize duplicates by it. */
  id: string;
  name: string;
  aggregateType: string;
  aggregateId: string;
  /** ISO 8601. */
  occurredAt: string;
  /** Parsed from `payloadText` at the first read. Numbers beyond 2^53 lose digits; `payloadText` does not. */
  readonly payload: unknown;
  readonly meta: Record<string, unknown>;
  /**
   * The payload exactly as stored, in JSON. Use it to pass the payload on without parsing. Pawl always sets it; an event
   * made for a test may leave it out.
   */
  readonly payloadText?: string;
  /** The same for `meta`. */
  readonly metaText?: string;
}

export interface Delivery {
  deliveryId: string;
  destinationId: string;
  /** The name of the destination. */
  destinationKey: string;
  /** The number of the attempt, from 1. */
  attempt: number;
  /** 0 is the first delivery; each replay has its own number and keeps the event's id. */
  replay: number;
  event: OutboxEvent;
}

export interface DeliveryContext {
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** The app's HTTP sender, with deadline, size limit and protection against private addresses. */
  readonly http: HttpSender;
  /** The delivery's own transaction: writes through it commit together with the delivery's outcome. */
  readonly tx: Transaction;
}

/** Stored with the attempt, for operators. */
export interface DeliverySuccess {
  status?: number;
  summary?: string;
  durationMs?: number;
  response?: string;
  /** Headers of the answer; values of secret ones are masked. */
  headers?: Record<string, string>;
  timings?: object;
  /** What was wrong with the rest of the answer, although the event was accepted. */
  trouble?: string;
  /** Why the receiver wants no more after this event. The destination is turned off. */
  disable?: string;
}

export type DeliveryOrder = "none" | "aggregate" | "all";

export interface DestinationDefinition {
  readonly type: string;
  /** As the catalogue shows it. Never contains a secret. */
  readonly config: Record<string, unknown>;
  readonly retry?: RetryPolicy;
  /** Whether deliveries about the same aggregate, or all of them, go one after the other; default `none`. */
  readonly order?: DeliveryOrder;
  /** Limits and breaker of the destination's queue. */
  readonly queue?: QueueBehaviourOptions;
  readonly timeoutMs: number;
  /** All events are accepted without being read: `deliver` is not called. */
  readonly acceptsUnread?: true;
  /** Throws if something that deliveries need is missing here, such as a secret's variable. */
  check?(): void;
  /** Throws if the sender would always refuse its host; `allow` as in the app's `http`. */
  checkHost?(allow: readonly string[]): void;
  /**
   * Makes one attempt. Resolves if the receiver accepted the event.
   *
   * @throws DeliveryFailed, which says what comes next; any other error is retried by the policy
   */
  deliver(delivery: Delivery, context: DeliveryContext): Promise<DeliverySuccess>;
  /** Closes what deliveries opened, such as a broker's connection. */
  close?(): Promise<void>;
}

/** A type of destinations that operators can add. */
export interface DestinationType {
  /** Its technical name, such as `webhook`. */
  readonly type: string;
  /** Name shown to people. */
  readonly label: string;
  readonly fields: ConfigFields;
  /** Makes a destination from a config that fits the fields. Secrets in it are still references. @throws PawlError */
  define(config: Record<string, unknown>): DestinationDefinition;
}
