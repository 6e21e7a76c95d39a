/**
 * A RabbitMQ stream as a source: a message's offset is its id, the cursor in the database says where to begin, and messages
 * are acknowledged after they are durable. It never reconnects by itself: the loader opens it again.
 */

import { charsetIn, decodeText } from "../../base/charset.ts";
import { PawlError, toError } from "../../base/errors.ts";
import { rawJson } from "../../base/json-text.ts";
import { messageOf } from "../../base/thrown.ts";
import { type FieldsOf, required, withDefault } from "../../options/field.ts";
import { func, integer, matching } from "../../options/kinds.ts";
import { anything } from "../../options/parts.ts";
import { brokerPort, refuseMissingPackage } from "../../outbox/destinations/rabbitmq-connect.ts";
import { brokerUrl, shownUrl } from "../../outbox/destinations/rabbitmq-options.ts";
import { describeSecret, isSecretRef, type SecretRef } from "../../secrets/secret.ts";
import { ConnectError } from "../../sender/connection/connect-error.ts";
import { openGuard } from "../../sender/guard/guard.ts";
import { addressForbidden, type Refusal } from "../../sender/guard/refusal.ts";
import { readSource, type SourceOptions } from "../define-source.ts";
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

/** AMQP 0-9-1: a short of 16 bits; 0 would mean no limit. */
const PREFETCH_MAX = 65_535;
const STREAM_BYTES_MAX = 255;
const COMPRESSION = /^(?:x-)?(?:gzip|deflate|compress|br|bzip2|zstd|snappy|lz4|lzma|zlib)$/;
const NO_ENCODING: ReadonlySet<string> = new Set(["", "identity", "binary", "8bit", "7bit"]);

export type DecodedMessage = Omit<SourceEvent, "id">;

export interface RabbitmqStreamOptions extends SourceOptions {
  /**
   * `amqp://user:password@host:5672/vhost` or `amqps:`; better `env("NAME")` or `file("/path")`, which are read when
   * connecting.
   */
  url: string | SecretRef;
  /** The name of the queue of type `stream`; it must exist. */
  stream: string;
  /** Maximum number of messages that are received and not stored yet, up to 65,535; default 1,000. */
  prefetch?: number;
  /** Decodes a message; if it throws, the message is set aside. Default: the body is JSON, the payload. */
  decode?: (message: StreamMessage) => DecodedMessage;
  /** A client to use instead of amqplib, such as a fake one. */
  client?: StreamClient;
}

const OWN = {
  url: anything<string | SecretRef>("read by `brokerUrl`"),
  stream: required(
    matching(
      `a name of 1 to ${STREAM_BYTES_MAX} bytes`,
      (text) => text !== "" && Buffer.byteLength(text) <= STREAM_BYTES_MAX,
    ),
  ),
  prefetch: withDefault(
    1_000,
    integer({
      help: "maximum number of received messages that are not stored yet",
      max: PREFETCH_MAX,
    }),
  ),
  decode: func<NonNullable<RabbitmqStreamOptions["decode"]>>("of the message"),
  client: anything<StreamClient>("instead of amqplib"),
} satisfies FieldsOf<Omit<RabbitmqStreamOptions, keyof SourceOptions>>;

/**
 * Returns a source that reads a RabbitMQ stream over AMQP 0-9-1, starting after the cursor's offset. Needs the package
 * `amqplib`. Messages that cannot be decoded are set aside with their bytes.
 *
 * @throws PawlError `invalid_option`, `invalid_url`
 */
export function rabbitmqStreamSource(options: RabbitmqStreamOptions): PushSource {
  const { own, at: where, base: baseOf } = readSource("rabbitmqStreamSource", OWN, options);
  const { stream, prefetch, decode = decodeJson, client } = own;
  const { url } = options;
  const broker = isSecretRef(url) ? undefined : shownUrl(urlOf(where, url));
  const base = baseOf({
    type: "rabbitmq-stream",
    config: { url: broker ?? describeSecret(url), stream, prefetch },
    cursor: "number",
    start: "-1",
  });
  const ours = (context: PushContext) =>
    amqpStreamClient({
      url: () => urlOf(where, url).href,
      stream,
      guard: context.http.guard,
    });
  const forbidden = (refusal: Refusal) =>
    addressForbidden(refusal, new URL(shownUrl(urlOf(where, url))));
  return Object.freeze({
    ...base,
    check: () => {
      urlOf(where, url);
      if (client === undefined) inSource(where, () => refuseMissingPackage());
    },
    checkHost: (allow: readonly string[]) => {
      if (isSecretRef(url) || client !== undefined) return;
      const parsed = urlOf(where, url);
      const refusal = openGuard(allow).refuseHost(parsed.hostname, brokerPort(parsed));
      if (refusal !== undefined) throw forbidden(refusal);
    },
    open: async (cursor: string, context: PushContext) =>
      open(
        { where, stream, prefetch, decode, client: client ?? ours(context), forbidden },
        cursor,
        context,
      ),
    // only the message's body was kept
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
  /** Why the guard refused the broker, as an error. */
  forbidden: (refusal: Refusal) => PawlError;
}

function open(
  { where, stream, prefetch, decode, client, forbidden }: Opening,
  cursor: string,
  context: PushContext,
): Promise<void> {
  return deliverStream({
    client,
    cursor: offsetOf(where, cursor),
    prefetch,
    context,
    pageOf: (messages) => pageOf(messages, decode),
    faultOf: (error) => {
      const refusal = error instanceof ConnectError ? error.refusal : undefined;
      return faultOf(where, stream, refusal === undefined ? error : forbidden(refusal));
    },
  });
}

/** Reading a stream executes nothing at the broker: whatever ended it, the same offset may be requested again. */
function faultOf(where: string, stream: string, error: unknown): Error {
  if (error instanceof PawlError && error.code === "address_forbidden") {
    return new SourceUnavailable(`${where}: ${error.message}`, { sent: "no", cause: error });
  }
  if (error instanceof PawlError) return asOfSource(where, error);
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
    `${where}: the cursor ${cursor} is not an offset of a stream; rewind it to -1 or higher`,
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
    return { id, raw: message.body, error: messageOf(error) };
  }
}

/** The body is JSON; name, time, id and headers are the message's own. */
function decodeJson(message: StreamMessage): DecodedMessage {
  const { body, type, timestamp, messageId, headers, contentType, contentEncoding } = message;
  const payload = rawJson(decodeText(body, charsetOf(contentType, contentEncoding)));
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

/** AMQP has a field for compression, which some clients use for the charset. @throws Error if the body is compressed */
function charsetOf(contentType?: string, contentEncoding?: string): string | undefined {
  const encoding = contentEncoding?.trim().toLowerCase() ?? "";
  if (COMPRESSION.test(encoding)) {
    throw new Error(
      `its content encoding is "${encoding}": a \`decode\` of your own may unpack it`,
    );
  }
  return charsetIn(contentType) ?? (NO_ENCODING.has(encoding) ? undefined : encoding);
}

function urlOf(where: string, url: string | SecretRef): URL {
  return inSource(where, () => brokerUrl(url));
}

/** Runs checks of the destination; their messages then name this source. */
function inSource<T>(where: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    throw error instanceof PawlError ? asOfSource(where, error) : error;
  }
}

function asOfSource(where: string, error: PawlError): PawlError {
  const own = error.message.replace(/^rabbitmq destination/, where);
  const message = own.startsWith(where) ? own : `${where}: ${own}`;
  return new PawlError(error.code, message, { data: error.data, cause: error });
}
