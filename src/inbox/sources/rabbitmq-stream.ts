/**
 * A stream of RabbitMQ as a source: the offset of a message is its id, the cursor of the database says where to begin, and
 * what is durable is acknowledged afterwards. It never reconnects by itself: opening it anew is the loader's.
 */

import { PawlError, shown, toError } from "../../base/errors.ts";
import { refuseUnknownOptions } from "../../base/options.ts";
import { describeSecret, isSecretRef, type SecretRef } from "../../base/secret.ts";
import { refuseMissingPackage } from "../../outbox/destinations/rabbitmq-connect.ts";
import { brokerUrl, shownUrl } from "../../outbox/destinations/rabbitmq-options.ts";
import { SOURCE_OPTIONS, type SourceOptions, sourceBase } from "../define-source.ts";
import {
  type BadEvent,
  type Page,
  type PushContext,
  type PushSource,
  SourceAnswered,
  type SourceEvent,
  SourceUnavailable,
} from "../source.ts";
import { amqpStreamClient } from "./amqp-stream-client.ts";
import { nameOf, requireGood, storable, timeOf } from "./item.ts";
import type { StreamClient, StreamMessage } from "./stream-client.ts";
import { deliverStream } from "./stream-delivery.ts";

const PREFETCH_DEFAULT = 1_000;
/** AMQP 0-9-1: a short of 16 bits; 0 would mean no limit. */
const PREFETCH_MAX = 65_535;
const STREAM_BYTES_MAX = 255;
const TEXT = new TextDecoder("utf-8", { fatal: true });

export type DecodedMessage = Omit<SourceEvent, "id">;

export interface RabbitmqStreamOptions extends SourceOptions {
  /** `amqp://user:password@host:5672/vhost` or `amqps:`; better `env("NAME")` or `file("/path")`, read when connecting. */
  url: string | SecretRef;
  /** The queue of type `stream`; it must be there already. */
  stream: string;
  /** Messages on their way that are not stored yet; default 1,000. */
  prefetch?: number;
  /** What a message means; what it throws sets the message aside. Default: its body is JSON, the payload. */
  decode?: (message: StreamMessage) => DecodedMessage;
  /** Another client instead of amqplib, such as a fake one. */
  client?: StreamClient;
}

/**
 * A source that reads a stream of RabbitMQ over AMQP 0-9-1, from the offset after the cursor on. Needs the package
 * `amqplib`. Messages that cannot be decoded are set aside with their bytes.
 *
 * @throws PawlError `invalid_option`, `invalid_url`
 */
export function rabbitmqStreamSource(options: RabbitmqStreamOptions): PushSource {
  const where = `source "${options.name}"`;
  const own = ["url", "stream", "prefetch", "decode", "client"];
  refuseUnknownOptions(where, options, [...SOURCE_OPTIONS, ...own]);
  const { url, stream, prefetch = PREFETCH_DEFAULT, decode = decodeJson, client } = options;
  checkOwn(where, { stream, prefetch, decode });
  if (!isSecretRef(url)) urlOf(where, url);
  const base = sourceBase(options, {
    type: "rabbitmq-stream",
    config: {
      url: isSecretRef(url) ? describeSecret(url) : shownUrl(urlOf(where, url)),
      stream,
      prefetch,
    },
    cursor: "number",
    start: "-1",
  });
  const streams = client ?? amqpStreamClient({ url: () => urlOf(where, url).href, stream });
  return Object.freeze({
    ...base,
    check: () => {
      urlOf(where, url);
      if (client === undefined) inSource(where, () => refuseMissingPackage());
    },
    open: async (cursor: string, context: PushContext) =>
      open({ where, stream, prefetch, decode, client: streams }, cursor, context),
    // of a message only the body was kept
    decode: (body: Uint8Array, offset: string) =>
      requireGood(eventOf({ offset: Number(offset), body, headers: {} }, decode)),
  });
}

interface Opening {
  where: string;
  stream: string;
  prefetch: number;
  decode: (message: StreamMessage) => DecodedMessage;
  client: StreamClient;
}

function open(
  { where, stream, prefetch, decode, client }: Opening,
  cursor: string,
  context: PushContext,
): Promise<void> {
  return deliverStream({
    client,
    cursor: offsetOf(where, cursor),
    prefetch,
    context,
    pageOf: (messages) => pageOf(messages, decode),
    faultOf: (error) => faultOf(stream, error),
  });
}

/** Reading a stream executes nothing there: whatever ended it, the same offset may be asked for again. */
function faultOf(stream: string, error: unknown): Error {
  if (error instanceof PawlError) return error;
  const { message } = toError(error);
  return new SourceUnavailable(`stream "${stream}": ${message || "the connection was lost"}`, {
    sent: "no",
    cause: error,
  });
}

function offsetOf(where: string, cursor: string): number {
  const offset = Number(cursor);
  if (Number.isSafeInteger(offset) && offset >= -1) return offset;
  throw new SourceAnswered(
    `${where}: the cursor ${cursor} is no offset of a stream; rewind it to one from -1 on`,
  );
}

function pageOf(messages: readonly StreamMessage[], decode: Opening["decode"]): Page {
  const events = messages.map((message) => eventOf(message, decode));
  const last = messages.at(-1);
  return { events, ...(last !== undefined && { next: String(last.offset) }) };
}

function eventOf(message: StreamMessage, decode: Opening["decode"]): SourceEvent | BadEvent {
  const id = String(message.offset);
  try {
    const { name, occurredAt, payload, meta } = decode(message);
    const [named, time] = [nameOf(name), timeOf(occurredAt)];
    return storable({
      id,
      ...(named !== undefined && { name: named }),
      ...(time !== undefined && { occurredAt: time }),
      payload,
      ...(meta !== undefined && { meta }),
    });
  } catch (error) {
    return { id, raw: message.body, error: toError(error).message };
  }
}

/** The body is JSON; name, time, id and headers are the message's own. */
function decodeJson({ body, type, timestamp, messageId, headers }: StreamMessage): DecodedMessage {
  const payload: unknown = JSON.parse(TEXT.decode(body));
  const meta = {
    ...(messageId !== undefined && { messageId }),
    ...(Object.keys(headers).length > 0 && { headers }),
  };
  return {
    ...(type !== undefined && { name: type }),
    ...(timestamp !== undefined && { occurredAt: timestamp }),
    payload,
    ...(Object.keys(meta).length > 0 && { meta }),
  };
}

function checkOwn(
  where: string,
  { stream, prefetch, decode }: Pick<Opening, "stream" | "prefetch" | "decode">,
): void {
  const refused = (option: string, expected: string, value: unknown) =>
    new PawlError(
      "invalid_option",
      `${where}: expected \`${option}\` to be ${expected}, got ${shown(value)}`,
      { data: { option } },
    );
  if (typeof stream !== "string" || stream === "" || Buffer.byteLength(stream) > STREAM_BYTES_MAX) {
    throw refused("stream", `a name of 1 to ${STREAM_BYTES_MAX} bytes`, stream);
  }
  if (!Number.isInteger(prefetch) || prefetch < 1 || prefetch > PREFETCH_MAX) {
    throw refused("prefetch", `a whole number from 1 to ${PREFETCH_MAX}`, prefetch);
  }
  if (typeof decode !== "function") throw refused("decode", "a function of the message", decode);
}

function urlOf(where: string, url: string | SecretRef): URL {
  return inSource(where, () => brokerUrl(url));
}

/** The checks are those of the destination; what they speak of is this source. */
function inSource<T>(where: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof PawlError)) throw error;
    const message = error.message.replace(/^rabbitmq destination/, where);
    throw new PawlError(error.code, message, { data: error.data, cause: error });
  }
}
