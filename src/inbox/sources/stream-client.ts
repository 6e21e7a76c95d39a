/**
 * The small interface behind which a broker's stream stands, so that another client, or a fake one, fits: a subscription
 * from an offset, messages in the order of their offsets, and an acknowledgement that only asks for more.
 */

export interface StreamMessage {
  /** Ascending by the broker's count, from 0. */
  readonly offset: number;
  readonly body: Uint8Array;
  readonly contentType?: string;
  readonly messageId?: string;
  /** The kind of message, by its sender. */
  readonly type?: string;
  /** ISO 8601. */
  readonly timestamp?: string;
  readonly headers: Readonly<Record<string, unknown>>;
}

export interface StreamSubscribing {
  /** The first offset wanted; 0 is the first message there is. */
  readonly offset: number;
  /** So many messages may be on their way without an acknowledgement. */
  readonly prefetch: number;
  /** Called in the order of offsets; must not throw. */
  readonly onMessage: (message: StreamMessage) => void;
}

export interface StreamSubscription {
  /** Rejects when the subscription ended without our doing: nothing more will come. Never resolves before `close`. */
  readonly ended: Promise<void>;
  /** This message and all before it are safe: as many more may come. */
  ack(offset: number): void;
  /** The last offset that the stream holds now; `undefined` when it is empty or does not say. */
  lastOffset(): Promise<number | undefined>;
  /** Resolves when nothing is delivered any more, whatever state the connection is in. */
  close(): Promise<void>;
}

/** One per source: connects anew for each subscription. */
export interface StreamClient {
  /** @throws whatever kept it from subscribing */
  subscribe(subscribing: StreamSubscribing): Promise<StreamSubscription>;
}
