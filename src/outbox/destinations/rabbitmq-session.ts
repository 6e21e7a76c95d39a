/**
 * One connection to a broker with one confirm channel, shared by the deliveries that run at once. It never reconnects:
 * when the connection or the channel ends, all that was not confirmed fails as unknown, and the session is over.
 */

import type { ChannelModel, ConfirmChannel, Options } from "amqplib";
import { destroy, type Opened } from "./rabbitmq-connect.ts";
import {
  brokerFault,
  causeText,
  type EndFault,
  endFault,
  nacked,
  unroutable,
} from "./rabbitmq-fault.ts";
import { openUnconfirmed, type Unconfirmed } from "./rabbitmq-unconfirmed.ts";

/** No more publications are begun while so many are not confirmed. */
const UNCONFIRMED_MAX = 20_000;
const CLOSE_MS = 2_000;

export interface Publication {
  exchange: string;
  routingKey: string;
  content: Buffer;
  /** With `messageId` and the header `x-outbox-delivery-id`, by which a returned message is known again. */
  properties: Options.Publish;
}

export interface Session {
  /** Resolves when broker and buffer take more. @throws PawlError `delivery_failed`, nothing was sent */
  writable(): Promise<void>;
  /** Resolves at the confirm. @throws PawlError `delivery_failed` */
  publish(publication: Publication): Promise<void>;
  /** What is not confirmed by then fails as unknown. */
  close(): Promise<void>;
}

export interface SessionOptions {
  /** Without its password. */
  broker: string;
  exchange: string;
  onOver: () => void;
}

/** What a session has learned from its connection. */
interface State {
  readonly broker: string;
  readonly unconfirmed: Unconfirmed;
  /** Set once. */
  over: EndFault | undefined;
  blocked: string | undefined;
  isChannelClosed: boolean;
  isFull: boolean;
}

export function openSession({ model, channel }: Opened, options: SessionOptions): Session {
  const { broker, exchange, onOver } = options;
  const unconfirmed = openUnconfirmed();
  const waiting = new Set<() => void>();
  const state: State = {
    broker,
    unconfirmed,
    over: undefined,
    blocked: undefined,
    isChannelClosed: false,
    isFull: false,
  };
  let reason: unknown;

  const wake = () => {
    state.isFull = false;
    for (const resolve of waiting) resolve();
    waiting.clear();
  };
  const end = (cause: unknown) => {
    if (state.over !== undefined) return;
    const fault = endFault(broker, exchange, cause);
    state.over = fault;
    destroy(model);
    onOver();
    unconfirmed.failAll(() => brokerFault({ ...fault, sent: "unknown" }));
    wake();
  };
  const failed = (error: unknown) => {
    reason ??= error;
  };
  followBlocking(model, state);
  model.on("error", failed);
  model.on("close", (error) => end(reason ?? error));
  channel.on("error", failed);
  channel.on("close", () => {
    state.isChannelClosed = true;
    queueMicrotask(() => end(reason)); // the connection's own reason comes in the same turn
  });
  channel.on("drain", wake);
  channel.on("return", (message) => unconfirmed.returned(message.properties as Options.Publish));

  return {
    async writable() {
      for (refuse(state); state.isFull; refuse(state)) {
        await new Promise<void>((resolve) => waiting.add(resolve));
      }
    },
    publish: (publication) => publish(channel, publication, { state, end }),
    async close() {
      failed(new Error("closed by the worker"));
      if (state.over === undefined)
        await atMost(
          CLOSE_MS,
          model.close().catch(() => undefined),
        );
      end(reason);
    },
  };
}

function publish(
  channel: ConfirmChannel,
  publication: Publication,
  { state, end }: { state: State; end: (cause: unknown) => void },
): Promise<void> {
  const { broker, unconfirmed } = state;
  return new Promise((resolve, reject) => {
    refuse(state);
    const { exchange, routingKey, content, properties } = publication;
    const entry = unconfirmed.add(properties, reject);
    const refused = () => {
      if (state.isChannelClosed) return; // its end fails all that is left
      unconfirmed.remove(entry);
      reject(nacked(broker));
    };
    const confirmed = (error: unknown) => {
      if (error !== null) return queueMicrotask(refused);
      unconfirmed.remove(entry);
      return entry.isReturned ? reject(unroutable(broker, publication)) : resolve();
    };
    try {
      state.isFull = !channel.publish(exchange, routingKey, content, properties, confirmed);
    } catch (cause) {
      if (isClosed(cause)) return end(cause); // it ended before anybody listened
      unconfirmed.remove(entry);
      const what = `the message cannot be written: ${causeText(cause)}`;
      reject(brokerFault({ broker, reason: "invalid", sent: "no", what, cause }));
    }
  });
}

function followBlocking(model: ChannelModel, state: State): void {
  model.on("blocked", (why) => {
    state.blocked = why;
  });
  model.on("unblocked", () => {
    state.blocked = undefined;
  });
}

/** @throws PawlError `delivery_failed` when nothing can be published now */
function refuse({ broker, over, blocked, unconfirmed }: State): void {
  if (over !== undefined) throw brokerFault({ ...over, sent: "no" });
  if (blocked !== undefined) {
    const what = `the broker takes no messages now (${blocked}); free memory or disk there`;
    throw brokerFault({ broker, reason: "blocked", sent: "no", what });
  }
  if (unconfirmed.size < UNCONFIRMED_MAX) return;
  const what = `${unconfirmed.size} messages wait for their confirms; see why the broker is slow`;
  throw brokerFault({ broker, reason: "overloaded", sent: "no", what });
}

function isClosed(error: unknown): boolean {
  return error instanceof Error && error.name === "IllegalOperationError";
}

/** Waits for `work`, but not longer. */
export async function atMost(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const end = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, end]);
  clearTimeout(timer);
}
