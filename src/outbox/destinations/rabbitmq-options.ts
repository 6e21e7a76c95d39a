/**
 * Checks the options of a RabbitMQ destination when it is defined, so that a wrong one does not fail at every delivery. No
 * message shows a password: a URL that cannot be parsed is not shown at all.
 */

import { PawlError } from "../../base/errors.ts";
import { maskUrl } from "../../base/mask.ts";
import { badOption } from "../../base/options.ts";
import { didYouMean } from "../../base/suggest.ts";
import {
  type FieldsOf,
  mapped,
  type Place,
  readOptions,
  readValue,
  withDefault,
  wrong,
} from "../../options/field.ts";
import { matching } from "../../options/kinds.ts";
import { anything, object } from "../../options/parts.ts";
import { isSecretRef, readSecret, type SecretRef } from "../../secrets/secret.ts";
import { badHeader } from "../../sender/http-headers.ts";
import { COMMON, type Common, type CommonOptions } from "./common-options.ts";
import type { OutboxEvent } from "./types.ts";

const WHERE = "rabbitmq destination";
const URL_SECRET = "rabbitmq URL";
/** AMQP 0-9-1 section 4.2.5.3: a short string. */
const NAME_BYTES_MAX = 255;
const HEADER_NAME_CHARS_MAX = 128;
const RESERVED_PREFIXES = ["x-event-", "x-outbox-"];
/** RabbitMQ takes these as further routing keys. */
const ROUTING_HEADERS = new Set(["cc", "bcc"]);
/** Parameters of the client; anything else after `?` is more likely part of a password that was not escaped. */
const URL_PARAMETERS = ["heartbeat", "frameMax", "channelMax", "locale"];
const HEARTBEAT_S = 10;
const PLACEHOLDER = /\{([^{}]*)\}/g;

export type HeaderValue = string | number | boolean | SecretRef;

export interface RabbitmqOptions extends CommonOptions {
  /**
   * `amqp://user:password@host:5672/vhost` or `amqps:`; better `env("NAME")` or `file("/path")`, which are read when
   * connecting.
   */
  url: string | SecretRef;
  /** The exchange to publish to; it must exist. */
  exchange?: string;
  /** Default `{name}`. `{name}`, `{aggregateType}` and `{aggregateId}` are replaced by the event's values. */
  routingKey?: string;
  /** Publishes directly to this queue, instead of `exchange` and `routingKey`. */
  queue?: string;
  /** Additional headers; they cannot replace Pawl's own. */
  headers?: Record<string, HeaderValue>;
}

export interface Target {
  readonly exchange: string;
  /** @throws PawlError `delivery_failed` for a key that AMQP cannot carry */
  routingKey(event: OutboxEvent): string;
}

const short = matching(
  `a name of 1 to ${NAME_BYTES_MAX} bytes`,
  (text) => text !== "" && Buffer.byteLength(text) <= NAME_BYTES_MAX,
);
const template = matching(
  `a text of at most ${NAME_BYTES_MAX} bytes`,
  (text) => Buffer.byteLength(text) <= NAME_BYTES_MAX,
);
const FIELDS = {
  ...COMMON,
  url: anything<string | SecretRef>("read by `brokerUrl`"),
  exchange: short,
  routingKey: mapped(template, refuseBraces),
  queue: short,
  headers: withDefault({}, object<Record<string, HeaderValue>>("sent beside Pawl's own")),
} satisfies FieldsOf<RabbitmqOptions>;

export type RabbitmqRead = Common & Pick<RabbitmqOptions, Own> & Required<Headers>;
type Own = "exchange" | "routingKey" | "queue";
type Headers = Pick<RabbitmqOptions, "headers">;

/** @throws PawlError `invalid_option` */
export function readRabbitmq(options: unknown): RabbitmqRead {
  return readOptions(WHERE, FIELDS, options);
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
  if (/%00/.test(parsed.username + parsed.password)) {
    throw badUrl(
      "holds a zero in its name or password",
      "SASL PLAIN ends them with it; leave it out",
    );
  }
  const parameters = [...parsed.searchParams.keys()];
  const isOdd = parameters.some((name) => !URL_PARAMETERS.includes(name));
  if (parsed.hash !== "" || isOdd || /[/@]/.test(parsed.pathname.slice(1))) {
    throw badUrl(
      "has a part that is neither a virtual host nor a known parameter",
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
export function targetOf({ exchange, queue, routingKey }: RabbitmqRead): Target {
  if (queue === undefined) {
    const keyTemplate = routingKey ?? "{name}";
    return {
      exchange: exchange ?? readValue(WHERE, "exchange", short, exchange),
      routingKey: (event) => renderKey(keyTemplate, event),
    };
  }
  const beside = Object.entries({ exchange, routingKey }).find(([, value]) => value !== undefined);
  if (beside === undefined) return { exchange: "", routingKey: () => queue };
  const expected = "left out when `queue` is given";
  throw badOption(WHERE, beside[0], expected, beside[1]);
}

const PARTS: Record<string, (event: OutboxEvent) => string> = {
  name: (event) => event.name,
  aggregateType: (event) => event.aggregateType,
  aggregateId: (event) => event.aggregateId,
};

function refuseBraces(template: string, place: Place): string {
  for (const [whole, name = ""] of template.matchAll(PLACEHOLDER)) {
    if (Object.hasOwn(PARTS, name)) continue;
    const near = didYouMean(name, Object.keys(PARTS));
    throw wrong(place, `without ${whole} (${near})`, template);
  }
  if (/[{}]/.test(template.replace(PLACEHOLDER, "")))
    throw wrong(place, "a text with each { closed by a }", template);
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
  for (const [name, value] of Object.entries(headers)) {
    const lower = name.toLowerCase();
    if (name === "" || name.length > HEADER_NAME_CHARS_MAX) {
      throw badHeader(WHERE, name, `needs a name of 1 to ${HEADER_NAME_CHARS_MAX} characters`);
    }
    if (RESERVED_PREFIXES.some((prefix) => lower.startsWith(prefix))) {
      throw badHeader(WHERE, name, "is set by Pawl and cannot be replaced; remove it");
    }
    if (ROUTING_HEADERS.has(lower)) {
      throw badHeader(
        WHERE,
        name,
        "would route the message further; add a route to another destination",
      );
    }
    if (!isHeaderValue(value)) {
      throw badHeader(
        WHERE,
        name,
        'has no text, number or boolean as value; use one, or env("NAME")',
      );
    }
  }
  return { ...headers };
}

function isHeaderValue(value: unknown): value is HeaderValue {
  if (typeof value === "number") return Number.isFinite(value);
  return typeof value === "string" || typeof value === "boolean" || isSecretRef(value);
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
