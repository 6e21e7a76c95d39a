/**
 * A stream of RabbitMQ read over AMQP 0-9-1: one connection and one channel per subscription. It does not reconnect: the
 * next subscription takes its offset from the database. An acknowledgement is only credit; the broker forgets nothing.
 */

import type { Channel, ChannelModel, ConsumeMessage } from "amqplib";
import { toError } from "../../base/errors.ts";
import { destroy, openConnection } from "../../outbox/destinations/rabbitmq-connect.ts";
import { atMost } from "../../outbox/destinations/rabbitmq-session.ts";
import type { Guard } from "../../sender/guard/guard.ts";
import type {
  StreamClient,
  StreamMessage,
  StreamSubscribing,
  StreamSubscription,
} from "./stream-client.ts";

const CONNECT_MS = 10_000;
const CLOSE_MS = 2_000;
/** An empty stream has no last message, and only waiting shows that. */
const LAST_OFFSET_MS = 1_000;
const OFFSET_HEADER = "x-stream-offset";

export interface AmqpStreamOptions {
  /** Read at each subscription; with user and password. */
  url: () => string;
  stream: string;
  /** Decides which brokers may be connected to; without it, all may. */
  guard?: Guard | undefined;
}

export function amqpStreamClient({ url, stream, guard }: AmqpStreamOptions): StreamClient {
  return {
    async subscribe(subscribing) {
      const { model } = await openConnection(url(), CONNECT_MS, guard);
      try {
        return await subscribed(model, stream, subscribing);
      } catch (error) {
        destroy(model);
        throw error;
      }
    },
  };
}

async function subscribed(
  model: ChannelModel,
  stream: string,
  { offset, prefetch, onMessage }: StreamSubscribing,
): Promise<StreamSubscription> {
  const end = endOf(model);
  const channel = await model.createChannel();
  end.follow(channel);
  /** Delivery tags of messages that are not acknowledged, by offset, oldest first. */
  const unacked = new Map<number, ConsumeMessage>();
  const consuming = (async () => {
    await channel.prefetch(prefetch);
    await channel.consume(
      stream,
      (message) => {
        if (message === null) return end.reject(new Error("the broker ended the subscription"));
        const received = messageOf(message);
        if (received === undefined) {
          return end.reject(new Error(`a message came without ${OFFSET_HEADER}; is it a stream?`));
        }
        unacked.set(received.offset, message);
        return onMessage(received);
      },
      { noAck: false, arguments: { [OFFSET_HEADER]: offset } },
    );
  })();
  await Promise.race([consuming, end.promise]);
  return {
    ended: end.promise,
    ack: (upTo) => acknowledge(channel, unacked, upTo),
    lastOffset: () => lastOffset(model, stream),
    async close() {
      end.close();
      await atMost(
        CLOSE_MS,
        model.close().catch(() => undefined),
      );
      destroy(model);
    },
  };
}

interface End {
  readonly promise: Promise<void>;
  reject(error: unknown): void;
  follow(channel: Channel): void;
  close(): void;
}

/** The first thing that ended the connection or its channel is the reason. */
function endOf(model: ChannelModel): End {
  let isOver = false;
  let reason: unknown;
  let settle: { resolve: () => void; reject: (error: Error) => void } | undefined;
  const promise = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject };
  });
  promise.catch(() => undefined);
  const reject = (error: unknown) => {
    if (isOver) return;
    isOver = true;
    settle?.reject(toError(error ?? new Error("the connection was closed")));
  };
  const failed = (error: unknown) => {
    reason ??= error;
  };
  model.on("error", failed);
  model.on("close", (error) => reject(reason ?? error));
  return {
    promise,
    reject,
    follow(channel) {
      channel.on("error", failed);
      // The connection's own reason comes in the same turn.
      channel.on("close", () => queueMicrotask(() => reject(reason)));
    },
    close() {
      isOver = true;
      settle?.resolve();
    },
  };
}

function acknowledge(channel: Channel, unacked: Map<number, ConsumeMessage>, upTo: number): void {
  let last: ConsumeMessage | undefined;
  for (const [offset, message] of unacked) {
    if (offset > upTo) break;
    last = message;
    unacked.delete(offset);
  }
  if (last === undefined) return;
  try {
    channel.ack(last, true);
  } catch {
    // The channel is closed: `ended` says so, and what was not acknowledged comes again or is dropped by its offset.
  }
}

function messageOf({ content, properties }: ConsumeMessage): StreamMessage | undefined {
  const { [OFFSET_HEADER]: offset, ...headers } = (properties.headers ?? {}) as Record<
    string,
    unknown
  >;
  if (typeof offset !== "number") return undefined;
  const { contentType, contentEncoding, messageId, type, timestamp } =
    properties as unknown as Record<string, unknown>;
  return {
    offset,
    body: content,
    headers,
    ...(typeof contentType === "string" && { contentType }),
    ...(typeof contentEncoding === "string" && { contentEncoding }),
    ...(typeof messageId === "string" && { messageId }),
    ...(typeof type === "string" && { type }),
    ...timestampOf(timestamp),
  };
}

/** AMQP counts seconds. */
function timestampOf(seconds: unknown): { timestamp?: string } {
  const time = new Date(typeof seconds === "number" ? seconds * 1_000 : Number.NaN);
  return Number.isFinite(time.getTime()) ? { timestamp: time.toISOString() } : {};
}

/** Opens a second consumer at the last chunk, which may hold several messages, and looks at those that come together. */
async function lastOffset(model: ChannelModel, stream: string): Promise<number | undefined> {
  const channel = await model.createChannel();
  let last: number | undefined;
  channel.on("error", () => undefined);
  try {
    await channel.prefetch(1_000);
    await atMost(
      LAST_OFFSET_MS,
      new Promise<void>((resolve) => {
        const onMessage = (message: ConsumeMessage | null) => {
          last = (message === null ? undefined : messageOf(message)?.offset) ?? last;
          if (message === null) resolve();
          else setImmediate(resolve);
        };
        channel
          .consume(stream, onMessage, { noAck: false, arguments: { [OFFSET_HEADER]: "last" } })
          .catch(() => resolve());
      }),
    );
    return last;
  } finally {
    await channel.close().catch(() => undefined);
  }
}
