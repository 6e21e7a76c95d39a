/**
 * The config of a destination that an operator makes: read and checked by the fields of its type, secrets sealed
 * before it is stored, masked before it is shown. Invariant: what is stored holds no secret in the open.
 */

import { PawlError, shown } from "../../base/errors.ts";
import { HIDDEN, isSecretName, MASK, maskUrl } from "../../base/mask.ts";
import { isRecord } from "../../base/options.ts";
import { didYouMean } from "../../base/suggest.ts";
import { maskSecrets } from "../../secrets/keep-masked.ts";
import { isKeySet } from "../../secrets/master-keys.ts";
import { isSealed, seal } from "../../secrets/seal.ts";
import {
  describeSecret,
  isSecretRef,
  readableSecret,
  type SecretRef,
} from "../../secrets/secret.ts";
import { readField } from "./config-kinds.ts";
import { isExpiring } from "./expiring-secrets.ts";
import type { ConfigFields, FieldKind } from "./fields.ts";

export type Config = Record<string, unknown>;

const WITH_PARTS: ReadonlySet<FieldKind> = new Set(["map", "retry", "rate", "breaker"]);

/** What a sealed secret of a destination is bound to. */
export function secretContext(destination: string): string {
  return `destination:${destination}`;
}

/**
 * `base` with some values replaced. A name with a dot sets one part: `retry.attempts`, `headers.x-tenant`; null takes a
 * value away.
 *
 * @throws PawlError `invalid_option` for a field that the type has not
 */
export function withChanges(
  fields: ConfigFields,
  base: Config,
  { changes, where }: { changes: Config; where: string },
): Config {
  if (!isRecord(changes)) {
    throw new PawlError(
      "invalid_option",
      `${where}: expected the config to be an object, got ${shown(typeof changes)}`,
    );
  }
  const next = { ...base };
  for (const [path, value] of Object.entries(changes)) {
    const { name, part } = pathOf(fields, path, where);
    const old = next[name];
    const made = part === undefined ? value : { ...(isRecord(old) && old), [part]: value };
    next[name] = isRecord(made) && !isSecretRef(made) ? withoutNulls(made) : made;
  }
  return withoutNulls(next);
}

function pathOf(
  fields: ConfigFields,
  path: string,
  where: string,
): { name: string; part?: string } {
  if (Object.hasOwn(fields, path)) return { name: path };
  const at = path.indexOf(".");
  const name = at < 0 ? path : path.slice(0, at);
  const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
  if (field !== undefined && WITH_PARTS.has(field.kind)) return { name, part: path.slice(at + 1) };
  const problem = field === undefined ? `no field \`${name}\`` : `\`${name}\` has no parts`;
  throw new PawlError(
    "invalid_option",
    `${where}: ${problem}; ${didYouMean(name, Object.keys(fields))}`,
    { data: { option: path } },
  );
}

/** What is left empty by that is taken away as a whole. */
function withoutNulls(given: Config): Config {
  const entries = Object.entries(given).filter(
    ([, value]) => value !== null && value !== undefined,
  );
  return Object.fromEntries(entries);
}

/**
 * Each value as its field says; secrets that were typed in are still in the open.
 *
 * @throws PawlError `invalid_option` naming the field
 */
export function readConfig(fields: ConfigFields, given: Config, where: string): Config {
  const read = Object.entries(given).map(([name]) => {
    pathOf(fields, name, where);
    const field = fields[name];
    return [name, field && readField(given[name], { where, name, config: field })] as const;
  });
  for (const [name, field] of Object.entries(fields)) {
    if (field.required !== true || Object.hasOwn(given, name)) continue;
    const help = field.help === undefined ? "" : ` (${field.help})`;
    throw new PawlError(
      "invalid_option",
      `${where}: \`${name}\` is missing: ${field.label}${help}`,
      {
        data: { option: name },
      },
    );
  }
  return Object.fromEntries(read);
}

/**
 * The same with every secret as a reference; values in a map whose names speak of a secret too, and URLs that may be
 * references and show less than they are, where there is a master key.
 *
 * @throws PawlError `invalid_environment` when one was typed in and there is no master key
 */
export function sealConfig(fields: ConfigFields, config: Config, context: string): Config {
  const sealed = (value: unknown): unknown =>
    typeof value === "string"
      ? seal(value, context)
      : isExpiring(value)
        ? { ...value, secret: sealed(value.secret) }
        : value;
  const entries = Object.entries(config).map(([name, value]) => {
    const { kind, canRefer = false } = fields[name] ?? {};
    if (kind === "secret") return [name, sealed(value)];
    if (kind === "url" && canRefer && hidesSome(value)) return [name, sealed(value)];
    if (kind === "secrets") return [name, Array.isArray(value) ? value.map(sealed) : sealed(value)];
    if (kind !== "map" || !isRecord(value)) return [name, value];
    const inside = Object.entries(value).map(([key, one]) => [
      key,
      isSecretName(key) ? sealed(one) : one,
    ]);
    return [name, Object.fromEntries(inside)];
  });
  return Object.fromEntries(entries) as Config;
}

function hidesSome(url: unknown): boolean {
  return isKeySet() && typeof url === "string" && maskUrl(url).includes(HIDDEN);
}

/** As anybody may see it, in the order of the fields. */
export function maskConfig(fields: ConfigFields | undefined, config: Config): Config {
  const names = Object.keys(fields ?? {}).filter((name) => Object.hasOwn(config, name));
  const entries = [...new Set([...names, ...Object.keys(config)])].map((name) => {
    const value = config[name];
    const kind = fields?.[name]?.kind;
    if (kind === "secret" || kind === "secrets") return [name, maskSecret(value)];
    if (kind === "map" && isRecord(value)) return [name, maskMap(value)];
    return [name, kind === "url" ? maskedUrl(value) : maskSecrets(value)];
  });
  return Object.fromEntries(entries) as Config;
}

/** A sealed one is shown as any other, where it can be opened. */
function maskedUrl(value: unknown): unknown {
  const url = isSealed(value) ? readableSecret(value) : value;
  return typeof url === "string" ? maskUrl(url) : maskSecrets(value);
}

function maskSecret(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(maskSecret);
  if (isExpiring(value)) return { secret: maskSecret(value.secret), until: value.until };
  return describeSecret(value as string | SecretRef);
}

function maskMap(map: Config): Config {
  const entries = Object.entries(map).map(([name, value]) => {
    return [name, isSecretName(name) && !isSecretRef(value) ? MASK : maskSecrets(value)];
  });
  return Object.fromEntries(entries) as Config;
}
