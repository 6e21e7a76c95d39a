/**
 * One subscription from a cursor on: messages that have arrived meanwhile are delivered together, in the order of offsets, and
 * acknowledged when it is durable. An offset at or below the cursor is never delivered.
 */

import type { Page, PushContext } from "../source.ts";
import { SourceAnswered } from "../source.ts";
import type { StreamClient, StreamMessage, StreamSubscription } from "./stream-client.ts";

/** After this silence the stream is asked whether it is still the one that the cursor belongs to. */
const SILENCE_MS = 2_000;
const SILENCE_AGAIN_MS = 60_000;

export interface StreamDelivery {
  client: StreamClient;
  /** The last offset that is stored; -1 before the first. */
  cursor: number;
  prefetch: number;
  context: PushContext;
  pageOf: (messages: readonly StreamMessage[]) => Page;
  /** What the client threw, as a fault of the source. */
  faultOf: (error: unknown) => Error;
}

/** Resolves after the signal, when nothing is delivered any more. @throws the error that ended the subscription */
export async function deliverStream(delivery: StreamDelivery): Promise<void> {
  const { client, cursor, prefetch, context, faultOf } = delivery;
  if (context.signal.aborted) return;
  const arrivals = openArrivals(cursor);
  const stopped = new Promise<void>((resolve) => {
    context.signal.addEventListener("abort", () => resolve(), { once: true });
  });
  const asFault = (error: unknown): never => {
    throw faultOf(error);
  };
  const onMessage = (message: StreamMessage) => arrivals.add(message);
  const subscribing = client.subscribe({ offset: cursor + 1, prefetch, onMessage }).catch(asFault);
  const subscription = await Promise.race([subscribing, stopped]);
  if (subscription === undefined) {
    subscribing.then((late) => late.close()).catch(() => undefined);
    return;
  }
  const silence = new AbortController();
  const delivering = deliverArrivals(delivery, arrivals, subscription);
  try {
    await Promise.race([
      stopped,
      subscription.ended.catch(asFault),
      refuseOtherStream(subscription, { cursor, arrivals, signal: silence.signal }),
      delivering,
    ]);
  } finally {
    silence.abort();
    arrivals.end();
    await delivering.catch(() => undefined); // no two deliveries at once when it is opened again
    await subscription.close();
  }
}

interface Arrivals {
  add(message: StreamMessage): void;
  /** Waits for at least one; takes at most `limit`. Empty: it has ended. */
  take(limit: number): Promise<StreamMessage[]>;
  /** Whether any message beyond the cursor has ever come. */
  readonly hasAny: boolean;
  end(): void;
}

function openArrivals(cursor: number): Arrivals {
  const waiting: StreamMessage[] = [];
  let last = cursor;
  let hasAny = false;
  let isOver = false;
  let wake: () => void = () => undefined;
  return {
    add(message) {
      if (message.offset <= last) return; // a chunk may begin before the offset that was asked for
      hasAny = true;
      last = message.offset;
      waiting.push(message);
      wake();
    },
    async take(limit) {
      while (waiting.length === 0 && !isOver) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return isOver ? [] : waiting.splice(0, limit);
    },
    get hasAny() {
      return hasAny;
    },
    end() {
      isOver = true;
      wake();
    },
  };
}

async function deliverArrivals(
  { cursor, context, pageOf }: StreamDelivery,
  arrivals: Arrivals,
  subscription: StreamSubscription,
): Promise<void> {
  let isFirst = true;
  for (;;) {
    const messages = await arrivals.take(context.limit);
    const last = messages.at(-1);
    if (last === undefined) return;
    if (isFirst) tellGap(cursor, messages[0]?.offset ?? 0, context);
    isFirst = false;
    await context.deliver(pageOf(messages));
    subscription.ack(last.offset);
  }
}

function tellGap(cursor: number, first: number, { log }: PushContext): void {
  if (cursor < 0 || first <= cursor + 1) return;
  log.warn(
    { cursor, first },
    "stream: the broker no longer has the messages after the cursor; its retention may be too short",
  );
}

/** A stream that was deleted and made again counts from 0: its messages would lie below the cursor, unseen for ever. */
async function refuseOtherStream(
  subscription: StreamSubscription,
  { cursor, arrivals, signal }: { cursor: number; arrivals: Arrivals; signal: AbortSignal },
): Promise<never> {
  for (let waitMs = SILENCE_MS; cursor >= 0; waitMs = SILENCE_AGAIN_MS) {
    await elapsed(waitMs, signal);
    if (arrivals.hasAny || signal.aborted) break;
    const last = await subscription.lastOffset().catch(() => undefined);
    if (last === undefined || last >= cursor || arrivals.hasAny) continue;
    throw new SourceAnswered(
      `the stream ends at offset ${last}, before the cursor ${cursor}: it was made again; rewind the source to -1 to read it from its beginning`,
    );
  }
  return new Promise<never>(() => undefined);
}

function elapsed(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const over = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", over);
      resolve();
    };
    const timer = setTimeout(over, ms);
    signal.addEventListener("abort", over);
  });
}
