/** A destination that is given another place to send to: what it knows of the old one does not go along. */

import { PawlError } from "../../../base/errors.ts";
import { isSecretName } from "../../../base/mask.ts";
import { isRecord } from "../../../base/options.ts";
import { isSealed } from "../../../secrets/seal.ts";
import { isSecretRef, readSecret, type SecretRef } from "../../../secrets/secret.ts";
import type { Config } from "../../destinations/config.ts";
import type { ConfigFields } from "../../destinations/fields.ts";

const WHAT = "URL of a destination";

export interface Edit {
  name: string;
  /** As stored. */
  before: Config;
  /** As it would be stored; what the person left as it was is what was stored. */
  after: Config;
  /** What the person gave. */
  changes: Config;
}

/** @throws PawlError `invalid_option` for secrets of the old place that were not given again */
export function refuseCarriedSecrets(
  fields: ConfigFields,
  { name, before, after, changes }: Edit,
): void {
  const places = Object.keys(fields).filter((one) => one === "url" || fields[one]?.kind === "url");
  const isMoved = places.some((one) => placeOf(before[one]) !== placeOf(after[one]));
  if (!isMoved) return;
  const carried = secretsIn(fields, after).filter(
    ({ path, value }) => !places.includes(path) && !isGiven(path, value, changes),
  );
  if (carried.length === 0) return;
  const paths = carried.map(({ path }) => path);
  throw new PawlError(
    "invalid_option",
    `destination "${name}": it would send to another host, and its secrets are for the old one; give them again, or take them away: ${paths.map((path) => `\`${path}\``).join(", ")}`,
    { data: { option: paths[0], destination: name, secrets: paths } },
  );
}

/** Scheme, host and port, as far as they can be told. A reference is a place of its own. */
function placeOf(value: unknown): string {
  if (isSecretRef(value) && !isSealed(value)) return JSON.stringify(value);
  try {
    const { protocol, host } = new URL(readSecret(value as string | SecretRef, WHAT));
    return `${protocol}//${host}`;
  } catch {
    return JSON.stringify(value ?? null);
  }
}

function secretsIn(fields: ConfigFields, config: Config): { path: string; value: unknown }[] {
  return Object.entries(config).flatMap(([name, value]) => {
    const kind = fields[name]?.kind;
    if (kind === "secret" || kind === "secrets") return [{ path: name, value }];
    if (!isRecord(value) || isSecretRef(value)) return [];
    return Object.entries(value)
      .filter(([key, one]) => isSecretRef(one) || isSecretName(key))
      .map(([key, one]) => ({ path: `${name}.${key}`, value: one }));
  });
}

/** A stored secret is never given by the way it is shown. */
function isGiven(path: string, value: unknown, changes: Config): boolean {
  const [name = "", part] = path.split(/\.(.*)/s);
  const whole = changes[name];
  const given = Object.hasOwn(changes, path)
    ? changes[path]
    : part !== undefined && isRecord(whole)
      ? whole[part]
      : whole;
  if (given === undefined) return false;
  return ![value].flat().some(isSealed);
}
