/**
 * The kinds of a config's fields: what operators may write, as code gives it or as a text (`50/s`, `10x 60s x2 max 12h`,
 * `env:NAME`). What is kept is what code would give to the type's `define`. No message shows a secret.
 */

import { DURATION_MS_MAX } from "../../base/duration.ts";
import { PawlError, shown } from "../../base/errors.ts";
import { HIDDEN, isMasked, MASK } from "../../base/mask.ts";
import { isRecord } from "../../base/options.ts";
import { didYouMean } from "../../base/suggest.ts";
import { retry } from "../../kernel/retry.ts";
import {
  type AnyField,
  type Field,
  field,
  fieldOf,
  type Place,
  wrongSecret,
} from "../../options/field.ts";
import { choice, duration, flag, number, text } from "../../options/kinds.ts";
import { list, orOff } from "../../options/parts.ts";
import { breaker, rate } from "../../queue/queue-options.ts";
import { isSecretRef, parseSecretRef, type SecretRef } from "../../secrets/secret.ts";
import { isExpiring } from "./expiring-secrets.ts";
import type { ConfigField, FieldKind } from "./fields.ts";

/** How a stored secret is shown: such a text never is one. */
const SHOWN_SECRETS: ReadonlySet<unknown> = new Set([MASK, "stored"]);

const KINDS: Record<FieldKind, (config: ConfigField) => AnyField> = {
  text: ({ label }) => text(label),
  url,
  secret: ({ label }) => secret(label),
  secrets: ({ label }) => secrets(label),
  number: ({ label, min, max }) =>
    number({ help: label, ...(min !== undefined && { min }), ...(max !== undefined && { max }) }),
  boolean: ({ label }) => flag(label),
  duration: ({ label }) => duration({ help: label, maxMs: DURATION_MS_MAX }),
  choice: ({ label, choices = [] }) => choice(choices, label),
  map: ({ label }) => map(label),
  list: ({ label }) => list(text(label), { isEmptyOk: true }),
  retry: () => retry,
  rate: () => rate,
  breaker: () => orOff(breaker),
};

/**
 * A value of a config, checked, as code would give it.
 *
 * @throws PawlError `invalid_option` naming the field
 */
export function readField(
  given: unknown,
  { where, name, config }: { where: string; name: string; config: ConfigField },
): unknown {
  const place: Place = { where, label: `\`${name}\``, option: name };
  refuseMasked(given, place);
  const kind = Object.hasOwn(KINDS, config.kind) ? KINDS[config.kind] : undefined;
  if (kind === undefined) {
    throw new PawlError(
      "invalid_option",
      `${where}: the field \`${name}\` is of the unknown kind ${shown(config.kind)}; ${didYouMean(String(config.kind), Object.keys(KINDS))}`,
    );
  }
  const one = kind(config);
  const value = one.asGiven(given, place);
  one.read(value, place);
  return value;
}

/** How a URL or a token was shown is not what it is. */
function refuseMasked(given: unknown, place: Place): void {
  const values = isRecord(given) && !isSecretRef(given) ? Object.values(given) : [given].flat();
  if (!values.some((one) => typeof one === "string" && isMasked(one))) return;
  throw wrongSecret(place, `in full; ${HIDDEN} stands for what is hidden of a stored value`, "");
}

/** The type judges it further. It may hold credentials, so it is not shown. */
function url({ label, canRefer = false }: ConfigField): Field<string | SecretRef> {
  return field({
    kind: "url",
    help: label,
    shape: "url",
    expected: `a whole URL such as https://erp.example/hooks${canRefer ? ", env:NAME or file:/path" : ""}`,
    isSecret: true,
    read: (given) => {
      if (canRefer && isSecretRef(given)) return given;
      return typeof given === "string" && URL.canParse(given) ? given : undefined;
    },
    fromText: (typed) => (canRefer ? parseSecretRef(typed) : undefined),
  });
}

function secret(help: string): Field<string | SecretRef> {
  return field({
    kind: "secret",
    help,
    shape: "secret",
    expected: "a secret, env:NAME or file:/path",
    isSecret: true,
    read: (given) => {
      const isText = typeof given === "string" && given !== "" && !SHOWN_SECRETS.has(given);
      return isText || isSecretRef(given) ? given : undefined;
    },
    hint: (given) =>
      SHOWN_SECRETS.has(given)
        ? "this is how a stored one is shown, enter the secret itself"
        : undefined,
    fromText: parseSecretRef,
  });
}

/** One or several; `env:A,env:B` when typed, and each with a time to which it holds: `{ secret, until }`. */
function secrets(help: string): Field<unknown> {
  const one = secret(help);
  const readOne = (given: unknown, place: Place) => {
    if (!isExpiring(given)) return one.read(given, place);
    if (!Number.isNaN(Date.parse(given.until))) return one.read(given.secret, place);
    const expected = "{ secret, until } with a time such as 2030-01-31T12:00:00Z";
    throw wrongSecret(place, expected, given);
  };
  return fieldOf({
    kind: "secrets",
    help,
    shape: "secret",
    read: (given, place) => {
      if (!Array.isArray(given)) return one.read(given, place);
      if (given.length === 0) throw wrongSecret(place, "one secret or several", given);
      return given.map((each) => readOne(each, place));
    },
    asGiven: (typed, place) => {
      const parts = typeof typed === "string" ? typed.split(",").map((part) => part.trim()) : typed;
      const isList = Array.isArray(parts) && parts.length > 1;
      if (typeof typed === "string" && !(isList && parts.every(isTypedRef)))
        return one.asGiven(typed, place);
      if (!Array.isArray(parts)) return typed;
      return parts.map((each: unknown) =>
        isExpiring(each)
          ? { ...each, secret: one.asGiven(each.secret, place) }
          : one.asGiven(each, place),
      );
    },
  });
}

function isTypedRef(part: unknown): boolean {
  return /^(?:env|file):/.test(String(part));
}

/** Names and values, which may be secrets: an object, or lines such as `x-tenant: a` or `x-tenant=a`. */
function map(help: string): Field<Record<string, unknown>> {
  const refuse = (place: Place, name: string, value: unknown) => {
    if (isSecretRef(value) || typeof value === "number" || typeof value === "boolean") return;
    if (typeof value === "string" && !SHOWN_SECRETS.has(value)) return;
    const expected = "a text, number, true or false, env:NAME or file:/path";
    throw wrongSecret({ ...place, label: `\`${place.option}.${name}\`` }, expected, value);
  };
  return fieldOf({
    kind: "map",
    help,
    shape: "name: value",
    read: (given, place) => {
      if (!isRecord(given)) throw wrongSecret(place, "names and values such as x-tenant: a", given);
      for (const [name, value] of Object.entries(given)) refuse(place, name, value);
      return given;
    },
    asGiven: (typed, place) => {
      const entries = isRecord(typed)
        ? Object.entries(typed)
        : [typed].flat().map((line) => pairOf(line, place));
      return Object.fromEntries(
        entries.map(([name, value]) => [
          name,
          (typeof value === "string" && parseSecretRef(value)) || value,
        ]),
      );
    },
  });
}

function pairOf(line: unknown, place: Place): [string, string] {
  const parts = typeof line === "string" ? /^\s*([^:=\s]+)\s*[:=]\s*(.*)$/s.exec(line) : null;
  if (parts !== null) return [parts[1] ?? "", parts[2] ?? ""];
  throw wrongSecret(place, "names and values such as x-tenant: a", line);
}
