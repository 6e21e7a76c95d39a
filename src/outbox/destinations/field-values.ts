/**
 * Reads one value of a config as its field says: as code writes it, or as the text that a person types (`50/s`,
 * `10x 60s x2 max 12h`, `env:NAME`). Answers what the type's `define` takes. No message shows a secret.
 */

import { type Duration, durationMs } from "../../base/duration.ts";
import { PawlError, shown } from "../../base/errors.ts";
import { isSecretRef, MASK, parseSecretRef, type SecretRef } from "../../base/secret.ts";
import { didYouMean } from "../../base/suggest.ts";
import { type RetryPolicy, retrySeries } from "../../kernel/retry.ts";
import { breakerPolicy, queueBehaviour, type RateLimit } from "../../queue/queue-options.ts";
import { type ExpiringSecret, isExpiring } from "./expiring-secrets.ts";
import type { ConfigField, FieldKind } from "./fields.ts";

const TEXT_CHARS_MAX = 10_000;
const NUMBER = /^-?\d+(?:\.\d+)?$/;
const RATE = /^(\d+)\s*\/\s*(\d*)(ms|s|m|h|d)(?:\s+burst\s+(\d+))?$/;
/** How a stored secret is shown: such a text never is one. */
const SHOWN_SECRETS: ReadonlySet<string> = new Set([MASK, "stored"]);
/** Parts of `retry`, `rate` and `breaker` that are numbers; the others are durations. */
const NUMBER_PARTS = new Set([
  "attempts",
  "factor",
  "jitter",
  "failures",
  "ratio",
  "limit",
  "burst",
]);

export interface Place {
  /** For messages: `destination "erp"`. */
  where: string;
  name: string;
  field: ConfigField;
}

type Reader = (given: unknown, place: Place) => unknown;

const READERS: Record<FieldKind, Reader> = {
  text: readText,
  url: readUrl,
  secret: readOneSecret,
  secrets: readSecrets,
  number: readNumber,
  boolean: readBoolean,
  duration: readDuration,
  choice: readChoice,
  map: readMap,
  list: readList,
  retry: readRetry,
  rate: readRate,
  breaker: readBreaker,
};

/** @throws PawlError `invalid_option` naming the field */
export function readField(given: unknown, place: Place): unknown {
  const reader = READERS[place.field.kind];
  if (reader !== undefined) return reader(given, place);
  throw new PawlError(
    "invalid_option",
    `${place.where}: the field \`${place.name}\` is of the unknown kind ${shown(place.field.kind)}; ${didYouMean(String(place.field.kind), Object.keys(READERS))}`,
  );
}

function readText(given: unknown, place: Place): string {
  if (typeof given === "string" && given !== "" && given.length <= TEXT_CHARS_MAX) return given;
  throw bad(place, `a text of 1 to ${TEXT_CHARS_MAX} characters`, given);
}

/** The type judges it further. It may hold credentials, so it is not shown. */
function readUrl(given: unknown, place: Place): string {
  if (typeof given === "string" && URL.canParse(given)) return given;
  throw bad(place, "a whole URL such as https://erp.example/hooks");
}

function readOneSecret(given: unknown, place: Place): string | SecretRef {
  if (isSecretRef(given)) return given;
  if (typeof given === "string" && given !== "" && !SHOWN_SECRETS.has(given))
    return parseSecretRef(given) ?? given;
  const hint =
    typeof given === "string" && SHOWN_SECRETS.has(given)
      ? "; this is how a stored one is shown, enter the secret itself"
      : "";
  throw bad(place, `a secret, env:NAME or file:/path${hint}`);
}

function readSecrets(given: unknown, place: Place): unknown {
  if (!Array.isArray(given)) {
    const refs = typeof given === "string" ? given.split(",").map((part) => part.trim()) : [];
    if (refs.length > 1 && refs.every((part) => /^(?:env|file):/.test(part)))
      return readSecrets(refs, place);
    return readOneSecret(given, place);
  }
  if (given.length === 0) throw bad(place, "one secret or several");
  return given.map((one: unknown) =>
    isExpiring(one) ? expiring(one, place) : readOneSecret(one, place),
  );
}

function expiring({ secret, until }: ExpiringSecret, place: Place): ExpiringSecret {
  if (!Number.isNaN(Date.parse(until))) return { secret: readOneSecret(secret, place), until };
  throw bad(place, "{ secret, until } with a time such as 2030-01-31T12:00:00Z");
}

function readNumber(given: unknown, place: Place): number {
  const { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = place.field;
  const value = typeof given === "string" && NUMBER.test(given) ? Number(given) : given;
  if (typeof value === "number" && value >= min && value <= max) return value;
  const range =
    place.field.min === undefined && place.field.max === undefined ? "" : ` from ${min} to ${max}`;
  throw bad(place, `a number${range}`, given);
}

function readBoolean(given: unknown, place: Place): boolean {
  if (given === true || given === "true" || given === "yes" || given === "on") return true;
  if (given === false || given === "false" || given === "no" || given === "off") return false;
  throw bad(place, "true or false", given);
}

function readDuration(given: unknown, place: Place): Duration {
  const value = seconds(given);
  durationMs(value as Duration, place.name);
  return value as Duration;
}

/** As text, a bare number is seconds. */
function seconds(given: unknown): unknown {
  return typeof given === "string" && /^\d+(?:\.\d+)?$/.test(given) ? `${given}s` : given;
}

function readChoice(given: unknown, place: Place): string {
  const choices = place.field.choices ?? [];
  const found = choices.find((choice) => choice === given);
  if (found !== undefined) return found;
  throw bad(place, `one of ${choices.join(", ")}; ${didYouMean(String(given), choices)}`, given);
}

function readMap(given: unknown, place: Place): Record<string, unknown> {
  const entries = isRecord(given)
    ? Object.entries(given)
    : (Array.isArray(given) ? given : [given]).map((line) => pairOf(line, place));
  return Object.fromEntries(entries.map(([name, value]) => [name, mapValue(value, name, place)]));
}

/** `x-tenant: a` or `x-tenant=a`. */
function pairOf(line: unknown, place: Place): [string, string] {
  const parts = typeof line === "string" ? /^\s*([^:=\s]+)\s*[:=]\s*(.*)$/s.exec(line) : null;
  if (parts !== null) return [parts[1] ?? "", parts[2] ?? ""];
  throw bad(place, "names and values such as x-tenant: a");
}

function mapValue(value: unknown, name: string, place: Place): unknown {
  if (isSecretRef(value) || typeof value === "number" || typeof value === "boolean") return value;
  if (typeof value === "string" && !SHOWN_SECRETS.has(value)) return parseSecretRef(value) ?? value;
  throw bad(
    { ...place, name: `${place.name}.${name}` },
    "a text, number, true or false, env:NAME or file:/path",
  );
}

function readList(given: unknown, place: Place): string[] {
  const values: unknown[] = Array.isArray(given) ? given : String(given).split(",");
  const texts = values.map((one) => (typeof one === "string" ? one.trim() : ""));
  if (texts.every((text) => text !== "")) return texts;
  throw bad(place, "texts, none of them empty", given);
}

function readRetry(given: unknown, place: Place): RetryPolicy {
  const policy = (
    typeof given === "string" ? retryOf(given, place) : parts(given, place)
  ) as RetryPolicy;
  retrySeries(policy, place.name);
  return policy;
}

/** `10x 60s x2 max 12h`: tries, first delay, factor (or `+30s`: step), longest delay; or `1s,10s,1m`. */
function retryOf(text: string, place: Place): Record<string, unknown> {
  const policy: Record<string, unknown> = {};
  const words = text.trim().split(/\s+/);
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    const named = word === "max" || word === "until" || word === "jitter";
    const part = named ? { name: word, value: words.shift() ?? "" } : retryWord(word);
    if (part === undefined) throw bad(place, 'such as "10x 60s x2 max 12h" or "1s,10s,1m"', text);
    policy[part.name] = part.value;
  }
  return parts(policy, place);
}

function retryWord(word: string): { name: string; value: string } | undefined {
  const tries = /^(\d+)x$/.exec(word)?.[1];
  if (tries !== undefined) return { name: "attempts", value: tries };
  const factor = /^[x×*](\d+(?:\.\d+)?)$/.exec(word)?.[1];
  if (factor !== undefined) return { name: "factor", value: factor };
  if (word.startsWith("+")) return { name: "step", value: word.slice(1) };
  if (word.includes(",")) return { name: "delays", value: word };
  return /^\d/.test(word) ? { name: "delay", value: word } : undefined;
}

function readRate(given: unknown, place: Place): RateLimit {
  const rate = (typeof given === "string" ? rateOf(given, place) : parts(given, place)) as unknown;
  queueBehaviour(place.where, { rate: rate as RateLimit });
  return rate as RateLimit;
}

function rateOf(text: string, place: Place): RateLimit {
  const [, limit, count = "", unit = "s", burst] = RATE.exec(text.trim()) ?? [];
  if (limit === undefined) throw bad(place, "such as 50/s, 1000/m or 10/30s burst 5", text);
  const per = `${count === "" ? "1" : count}${unit}`;
  return { limit: Number(limit), per, ...(burst !== undefined && { burst: Number(burst) }) };
}

function readBreaker(given: unknown, place: Place): unknown {
  if (given === false || given === "off" || given === "false") return false;
  if (given === true || given === "on" || given === "true") return {};
  const options = parts(given, place);
  breakerPolicy(`${place.where}.${place.name}`, options);
  return options;
}

/** The parts of an object, those that are text as what they mean. */
function parts(given: unknown, place: Place): Record<string, unknown> {
  if (!isRecord(given)) throw bad(place, `as in code, or its parts as ${place.name}.<part>`, given);
  return Object.fromEntries(
    Object.entries(given).map(([name, value]) => [name, partOf(name, value)]),
  );
}

function partOf(name: string, value: unknown): unknown {
  if (typeof value !== "string") return value;
  if (name === "delays") return value.split(",").map((one) => seconds(one.trim()));
  return NUMBER_PARTS.has(name) && NUMBER.test(value) ? Number(value) : seconds(value);
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

/** The value is shown only where it is given. */
function bad({ where, name }: Place, expected: string, ...value: [unknown?]): PawlError {
  const got = value.length === 0 ? "" : `, got ${shown(value[0])}`;
  return new PawlError("invalid_option", `${where}: expected \`${name}\` to be ${expected}${got}`, {
    data: { option: name },
  });
}
