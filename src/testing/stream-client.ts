/** A stream in memory behind the stream client interface, with offsets, prefetch and lost connections as with a broker. */

import type {
  StreamClient,
  StreamMessage,
  StreamSubscribing,
  StreamSubscription,
} from "../inbox/sources/stream-client.ts";

export interface FakeStream {
  /** For `rabbitmqStreamSource({ client })`. */
  readonly client: StreamClient;
  /** The offset that each subscription asked for, the first one first. */
  readonly subscribedFrom: readonly number[];
  /** The highest acknowledged offset; -1 if there is none. */
  readonly acked: number;
  /** Number of delivered messages of the current subscription that are not acknowledged. */
  readonly unacked: number;
  /** Adds messages: text and bytes as they are, other values as JSON. Returns the offset of the last one. */
  publish(...bodies: unknown[]): number;
  /** Breaks the connection; the next subscription works again. */
  cut(reason?: string): void;
  /** Makes the next `times` subscriptions fail. */
  refuse(times: number): void;
}

interface Reader {
  next: number;
  unacked: number[];
  isOver: boolean;
  readonly subscribing: StreamSubscribing;
  lose(error: Error): void;
}

export function fakeStreamClient(): FakeStream {
  const messages: StreamMessage[] = [];
  const subscribedFrom: number[] = [];
  let acked = -1;
  let refusals = 0;
  let reader: Reader | undefined;

  /** One message a turn, as from a socket. */
  const pump = (to: Reader) => {
    const message = messages[to.next];
    if (to.isOver || message === undefined || to.unacked.length >= to.subscribing.prefetch) return;
    to.next += 1;
    to.unacked.push(message.offset);
    to.subscribing.onMessage(message);
    setImmediate(pump, to);
  };
  const ack = (to: Reader, offset: number) => {
    if (to.isOver) return;
    acked = Math.max(acked, offset);
    to.unacked = to.unacked.filter((one) => one > offset);
    setImmediate(pump, to);
  };

  return {
    client: {
      subscribe: async (subscribing) => {
        if (refusals > 0) {
          refusals -= 1;
          throw new Error("connection refused");
        }
        subscribedFrom.push(subscribing.offset);
        const opened = openReader(subscribing);
        reader = opened.reader;
        setImmediate(pump, opened.reader);
        return {
          ended: opened.ended,
          ack: (offset) => ack(opened.reader, offset),
          lastOffset: async () => messages.at(-1)?.offset,
          close: opened.close,
        };
      },
    },
    subscribedFrom,
    get acked() {
      return acked;
    },
    get unacked() {
      return reader?.unacked.length ?? 0;
    },
    publish: (...bodies) => {
      for (const body of bodies) {
        messages.push({ offset: messages.length, body: bytesOf(body), headers: {} });
      }
      if (reader !== undefined) setImmediate(pump, reader);
      return messages.length - 1;
    },
    cut: (reason = "connection reset") => reader?.lose(new Error(reason)),
    refuse: (times) => {
      refusals = times;
    },
  };
}

function openReader(subscribing: StreamSubscribing): {
  reader: Reader;
  ended: StreamSubscription["ended"];
  close: StreamSubscription["close"];
} {
  let end: { resolve: () => void; reject: (error: Error) => void } | undefined;
  const ended = new Promise<void>((resolve, reject) => {
    end = { resolve, reject };
  });
  ended.catch(() => undefined);
  const reader: Reader = {
    next: subscribing.offset,
    unacked: [],
    isOver: false,
    subscribing,
    lose: (error) => {
      reader.isOver = true;
      end?.reject(error);
    },
  };
  const close = async () => {
    reader.isOver = true;
    end?.resolve();
  };
  return { reader, ended, close };
}

function bytesOf(body: unknown): Uint8Array {
  if (body instanceof Uint8Array) return body;
  return Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
}
