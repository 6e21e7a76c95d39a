/** Names every way in which a publication fails, and says whether the broker may have the message all the same. */

import { PawlError } from "../../base/errors.ts";

export type BrokerFaultReason =
  | "connect"
  | "timeout"
  | "aborted"
  | "lost"
  | "no_exchange"
  | "refused"
  | "blocked"
  | "overloaded"
  | "invalid"
  | "unroutable"
  | "nack";

export interface BrokerFault {
  /** Without its password. */
  broker: string;
  reason: BrokerFaultReason;
  /** `no`: certainly not published. `unknown`: it was, or was not. `yes`: the broker had it and did not keep it. */
  sent: "no" | "unknown" | "yes";
  what: string;
  /** Nothing for the breaker to count: the broker is well. */
  isReceiverUp?: true;
  cause?: unknown;
}

/** Whether something had been sent depends on the publication. */
export type EndFault = Omit<BrokerFault, "sent">;

export function brokerFault({ broker, what, cause, ...data }: BrokerFault): PawlError {
  return new PawlError("delivery_failed", `rabbitmq ${broker}: ${what}`, {
    data: { broker, ...data },
    cause,
  });
}

/** An AggregateError of several addresses has a code, and no message. */
export function causeText(cause: unknown): string {
  const { message, code } = (cause ?? {}) as { message?: string; code?: string | number };
  if (message !== undefined && message !== "") return message;
  return code === undefined ? "no reason given" : String(code);
}

/** Why a connection or its channel ended, by AMQP's reply code where there is one. */
export function endFault(broker: string, exchange: string, cause: unknown): EndFault {
  const { code } = (cause ?? {}) as { code?: unknown };
  if (code === 404) {
    const what = `there is no exchange "${exchange}" (404); declare it at the broker, or correct \`exchange\``;
    return { broker, reason: "no_exchange", what, cause };
  }
  if (code === 403 || code === 406) {
    const what = `the broker refused: ${causeText(cause)}; see the user's permissions and the broker's log`;
    return { broker, reason: "refused", what, cause };
  }
  const what = `the connection was lost: ${causeText(cause)}; the next delivery connects again`;
  return { broker, reason: "lost", what, cause };
}

export function connectFault(broker: string, cause: unknown): PawlError {
  const what = `cannot connect: ${causeText(cause)}; check that the broker runs, and the URL's host, user, password and virtual host`;
  return brokerFault({ broker, reason: "connect", sent: "no", what, cause });
}

export function unroutable(
  broker: string,
  { exchange, routingKey }: { exchange: string; routingKey: string },
): PawlError {
  const what =
    exchange === ""
      ? `there is no queue "${routingKey}"; declare it at the broker, or correct \`queue\``
      : `no queue is bound to exchange "${exchange}" for routing key "${routingKey}"; bind one, or correct \`routingKey\``;
  return brokerFault({ broker, reason: "unroutable", sent: "yes", what, isReceiverUp: true });
}

export function nacked(broker: string): PawlError {
  const what =
    "the broker did not keep the message (nack); see its log, and the queue's length limit";
  return brokerFault({ broker, reason: "nack", sent: "yes", what });
}
