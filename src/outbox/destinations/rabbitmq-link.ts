/**
 * A destination's way to its broker: one session at a time, opened by the first delivery that needs it and again by the
 * next one after it has ended. What is published settles within its time, whatever the broker does.
 */

import { PawlError } from "../../base/errors.ts";
import { ConnectError } from "../../sender/connection/connect-error.ts";
import type { Guard } from "../../sender/guard/guard.ts";
import { addressForbidden } from "../../sender/guard/refusal.ts";
import { openConnection } from "./rabbitmq-connect.ts";
import { type BrokerFault, brokerFault, connectFault } from "./rabbitmq-fault.ts";
import { atMost, openSession, type Publication, type Session } from "./rabbitmq-session.ts";

/** How long closing waits for the confirms under way. */
const CONFIRMS_MS = 5_000;

export interface Broker {
  /** With the password. */
  readonly url: string;
  /** Without it. */
  readonly shown: string;
}

export interface LinkOptions {
  /** Read at each connect. @throws PawlError */
  broker: () => Broker;
  exchange: string;
  connectMs: number;
}

export interface Publishing {
  timeoutMs: number;
  signal: AbortSignal;
  /** Which brokers may be connected to; without one all. */
  guard?: Guard | undefined;
}

export interface Link {
  /** Resolves at the broker's confirm. @throws PawlError `delivery_failed` with `{ broker, reason, sent }` */
  publish(publication: Publication, within: Publishing): Promise<void>;
  /** Waits a moment for what is under way. A later publication connects again. */
  close(): Promise<void>;
}

export function openLink({ broker, exchange, connectMs }: LinkOptions): Link {
  let current: Promise<Session> | undefined;
  const underWay = new Set<Promise<void>>();

  const session = (guard: Guard | undefined): Promise<Session> => {
    if (current !== undefined) return current;
    const forget = () => {
      if (current === opening) current = undefined;
    };
    const opening = open(broker(), forget, guard);
    current = opening;
    opening.catch(forget);
    return opening;
  };
  const open = async (
    { url, shown }: Broker,
    onOver: () => void,
    guard: Guard | undefined,
  ): Promise<Session> => {
    try {
      const opened = await openConnection(url, connectMs, guard);
      return openSession(opened, { broker: shown, exchange, onOver });
    } catch (error) {
      if (error instanceof ConnectError && error.refusal !== undefined) {
        throw addressForbidden(error.refusal, new URL(shown));
      }
      throw error instanceof PawlError ? error : connectFault(shown, error);
    }
  };

  return {
    publish: async (publication, within) => {
      const given = { ...within, broker: broker().shown };
      const publishing = publishWithin(() => session(within.guard), publication, given);
      underWay.add(publishing);
      try {
        await publishing;
      } finally {
        underWay.delete(publishing);
      }
    },
    close: async () => {
      const closing = current;
      current = undefined;
      await atMost(CONFIRMS_MS, Promise.allSettled(underWay));
      await closing?.then(
        (one) => one.close(),
        () => undefined,
      );
    },
  };
}

function publishWithin(
  session: () => Promise<Session>,
  publication: Publication,
  { broker, timeoutMs, signal }: Publishing & { broker: string },
): Promise<void> {
  return new Promise((resolve, reject) => {
    let isOver = false;
    let step: { sent: BrokerFault["sent"]; doing: string } = { sent: "no", doing: "to connect" };
    const settle = (how: () => void) => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      signal.removeEventListener("abort", aborted);
      how();
    };
    const give = (reason: "timeout" | "aborted", what: string, cause?: unknown) =>
      settle(() => reject(brokerFault({ broker, reason, sent: step.sent, what, cause })));
    const aborted = () => give("aborted", `given up while waiting ${step.doing}`, signal.reason);
    const timer = setTimeout(
      () => give("timeout", `waited ${timeoutMs} ms ${step.doing}; see the broker's load and log`),
      timeoutMs,
    );
    const work = async () => {
      const one = await session();
      step = { sent: "no", doing: "for room to write" };
      await one.writable();
      if (isOver) return; // it has failed already: to publish it now would be a needless second time
      step = { sent: "unknown", doing: "for the confirm" };
      await one.publish(publication);
    };
    if (signal.aborted) return aborted();
    signal.addEventListener("abort", aborted);
    work().then(
      () => settle(resolve),
      (error: unknown) => settle(() => reject(error)),
    );
  });
}
