/**
 * Checks what is said about a RabbitMQ destination, when it is said: what would fail at every delivery is refused at
 * the definition. No message shows a password: of a URL that cannot be taken apart nothing is shown at all.
 */

import { PawlError, shown } from "../../base/errors.ts";
import { badOption, refuseUnknownOptions } from "../../base/options.ts";
import { isSecretRef, readSecret, type SecretRef } from "../../base/secret.ts";
import { didYouMean } from "../../base/suggest.ts";
import { maskUrl } from "../../requests/mask-url.ts";
import { COMMON_OPTIONS, type CommonOptions } from "./common-options.ts";
import type { OutboxEvent } from "./types.ts";

export const WHERE = "rabbitmq destination";
export const URL_SECRET = "rabbitmq URL";
/** AMQP 0-9-1 section 4.2.5.3: a short string. */
const NAME_BYTES_MAX = 255;
const HEADER_NAME_CHARS_MAX = 128;
const RESERVED_PREFIXES = ["x-event-", "x-outbox-"];
/** RabbitMQ takes these as further routing keys. */
const ROUTING_HEADERS = new Set(["cc", "bcc"]);
/** Of the client; anything else after `?` is rather part of a password that was not escaped. */
const URL_PARAMETERS = ["heartbeat", "frameMax", "channelMax", "locale"];
const HEARTBEAT_S = 10;
const PLACEHOLDER = /\{([^{}]*)\}/g;

export type HeaderValue = string | number | boolean | SecretRef;

export interface RabbitmqOptions extends CommonOptions {
  /** `amqp://user:password@host:5672/vhost` or `amqps:`; better `env("NAME")` or `file("/path")`, read when connecting. */
  url: string | SecretRef;
  /** Where to publish; it must be there already. */
  exchange?: string;
  /** Default `{name}`; `{name}`, `{aggregateType}` and `{aggregateId}` stand for those of the event. */
  routingKey?: string;
  /** Straight into this queue, instead of `exchange` and `routingKey`. */
  queue?: string;
  /** Sent beside Pawl's own, which they cannot replace. */
  headers?: Record<string, HeaderValue>;
}

export interface Target {
  readonly exchange: string;
  /** @throws PawlError `delivery_failed` for a key that AMQP cannot carry */
  routingKey(event: OutboxEvent): string;
}

export function refuseUnknown(options: RabbitmqOptions): void {
  const own = ["url", "exchange", "routingKey", "queue", "headers"];
  refuseUnknownOptions(WHERE, options, [...own, ...COMMON_OPTIONS]);
}

/** What to connect to, with a heartbeat unless it names one. @throws PawlError `invalid_url`, `invalid_environment`, … */
export function brokerUrl(url: string | SecretRef): URL {
  const text = readSecret(url, URL_SECRET);
  if (!URL.canParse(text)) {
    throw badUrl(
      "is not a URL",
      "write it as amqp://user:password@host:5672/vhost, with %2F, %40, %3F and %23 for / @ ? # in a name or password",
    );
  }
  const parsed = new URL(text);
  if (parsed.protocol !== "amqp:" && parsed.protocol !== "amqps:") {
    throw badUrl("has another protocol", "use amqp: or amqps:");
  }
  if (parsed.hostname === "") throw badUrl("names no host", "write it as amqp://host:5672/vhost");
  const parameters = [...parsed.searchParams.keys()];
  const isOdd = parameters.some((name) => !URL_PARAMETERS.includes(name));
  if (parsed.hash !== "" || isOdd || /[/@]/.test(parsed.pathname.slice(1))) {
    throw badUrl(
      "holds what is neither a virtual host nor a known parameter",
      `escape / @ ? # in names and passwords as %2F %40 %3F %23; parameters: ${URL_PARAMETERS.join(", ")}`,
    );
  }
  if (!parsed.searchParams.has("heartbeat")) {
    parsed.searchParams.set("heartbeat", String(HEARTBEAT_S));
  }
  return parsed;
}

function badUrl(problem: string, remedy: string): PawlError {
  return new PawlError("invalid_url", `${WHERE}: the URL ${problem}; ${remedy}`, {
    data: { option: "url" },
  });
}

/** The heartbeat is ours: what a person wrote is shown. */
export function shownUrl(url: URL): string {
  const copy = new URL(url.href);
  copy.search = "";
  return maskUrl(copy);
}

/** @throws PawlError `invalid_option` */
export function targetOf({ exchange, queue, routingKey }: RabbitmqOptions): Target {
  if (queue !== undefined) {
    for (const [option, value] of Object.entries({ exchange, routingKey })) {
      if (value !== undefined)
        throw badOption(
          WHERE,
          option,
          "left out beside `queue`, which is reached without it",
          value,
        );
    }
    const name = brokerName("queue", queue);
    return { exchange: "", routingKey: () => name };
  }
  const name = brokerName("exchange", exchange);
  const template = routingKeyTemplate(routingKey ?? "{name}");
  return { exchange: name, routingKey: (event) => renderKey(template, event) };
}

function brokerName(option: string, value: unknown): string {
  if (typeof value === "string" && value !== "" && Buffer.byteLength(value) <= NAME_BYTES_MAX)
    return value;
  throw badOption(WHERE, option, `a name of 1 to ${NAME_BYTES_MAX} bytes`, value);
}

const PARTS: Record<string, (event: OutboxEvent) => string> = {
  name: (event) => event.name,
  aggregateType: (event) => event.aggregateType,
  aggregateId: (event) => event.aggregateId,
};

function routingKeyTemplate(template: unknown): string {
  if (typeof template !== "string" || Buffer.byteLength(template) > NAME_BYTES_MAX) {
    throw badOption(WHERE, "routingKey", `a text of at most ${NAME_BYTES_MAX} bytes`, template);
  }
  for (const [whole, name = ""] of template.matchAll(PLACEHOLDER)) {
    if (Object.hasOwn(PARTS, name)) continue;
    const near = didYouMean(name, Object.keys(PARTS));
    throw badOption(WHERE, "routingKey", `without ${whole} (${near})`, template);
  }
  if (/[{}]/.test(template.replace(PLACEHOLDER, ""))) {
    throw badOption(WHERE, "routingKey", "a text with each { closed by a }", template);
  }
  return template;
}

function renderKey(template: string, event: OutboxEvent): string {
  const key = template.replace(PLACEHOLDER, (_, name: string) => PARTS[name]?.(event) ?? "");
  const bytes = Buffer.byteLength(key);
  if (bytes <= NAME_BYTES_MAX) return key;
  throw new PawlError(
    "delivery_failed",
    `${WHERE}: the routing key of event ${event.id} has ${bytes} bytes, AMQP carries ${NAME_BYTES_MAX}; make \`routingKey\` shorter`,
    { data: { permanent: true, isReceiverUp: true, reason: "invalid", sent: "no" } },
  );
}

/** @throws PawlError `invalid_option` naming the header, never its value */
export function checkedHeaders(headers: Record<string, HeaderValue>): Record<string, HeaderValue> {
  if (typeof headers !== "object" || headers === null) {
    throw badOption(WHERE, "headers", "an object of names and values", headers);
  }
  for (const [name, value] of Object.entries(headers)) {
    const lower = name.toLowerCase();
    if (name === "" || name.length > HEADER_NAME_CHARS_MAX) {
      throw badHeader(name, `needs a name of 1 to ${HEADER_NAME_CHARS_MAX} characters`);
    }
    if (RESERVED_PREFIXES.some((prefix) => lower.startsWith(prefix))) {
      throw badHeader(name, "is set by Pawl and cannot be replaced; remove it");
    }
    if (ROUTING_HEADERS.has(lower)) {
      throw badHeader(name, "would route the message further; add a route to another destination");
    }
    if (!isHeaderValue(value)) {
      throw badHeader(name, 'has no text, number or boolean as value; use one, or env("NAME")');
    }
  }
  return { ...headers };
}

function isHeaderValue(value: unknown): value is HeaderValue {
  if (typeof value === "number") return Number.isFinite(value);
  return typeof value === "string" || typeof value === "boolean" || isSecretRef(value);
}

function badHeader(name: string, problem: string): PawlError {
  return new PawlError("invalid_option", `${WHERE}: the header ${shown(name)} ${problem}`, {
    data: { option: "headers", header: name },
  });
}

/** The values to send, those of references included. */
export function readHeaderValues(
  headers: Record<string, HeaderValue>,
): Record<string, string | number | boolean> {
  const entries = Object.entries(headers).map(
    ([name, value]) =>
      [name, isSecretRef(value) ? readSecret(value, `rabbitmq header "${name}"`) : value] as const,
  );
  return Object.fromEntries(entries);
}
