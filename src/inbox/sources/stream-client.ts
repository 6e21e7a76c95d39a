/**
 * A small interface for a broker's stream, so that another client, or a fake one, fits: a subscription from an offset,
 * messages in the order of their offsets, and an acknowledgement that only lets more messages come.
 */

export interface StreamMessage {
  /** The broker's number of the message, ascending from 0. */
  readonly offset: number;
  readonly body: Uint8Array;
  readonly contentType?: string;
  readonly contentEncoding?: string;
  readonly messageId?: string;
  /** The message's kind, as its sender named it. */
  readonly type?: string;
  /** ISO 8601. */
  readonly timestamp?: string;
  readonly headers: Readonly<Record<string, unknown>>;
}

export interface StreamSubscribing {
  /** The first offset to deliver; 0 is the first message that exists. */
  readonly offset: number;
  /** Maximum number of messages that are delivered and not acknowledged. */
  readonly prefetch: number;
  /** Called in the order of offsets. Must not throw. */
  readonly onMessage: (message: StreamMessage) => void;
}

export interface StreamSubscription {
  /** Rejects if the subscription ends although nobody closed it: no more messages come. Never resolves before `close`. */
  readonly ended: Promise<void>;
  /** Acknowledges this message and all before it: as many more may come. */
  ack(offset: number): void;
  /** Returns the last offset that the stream holds now; undefined if it is empty or does not say. */
  lastOffset(): Promise<number | undefined>;
  /** Stops the deliveries; resolves when nothing is delivered any more, in whatever state the connection is. */
  close(): Promise<void>;
}

/** One per source. Connects again for each subscription. */
export interface StreamClient {
  /** @throws if it cannot subscribe */
  subscribe(subscribing: StreamSubscribing): Promise<StreamSubscription>;
}
