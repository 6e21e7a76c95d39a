/**
 * The keys with which an app signs its requests, by name. The first secret signs; the previous ones only say what receivers
 * may still accept. Checked when defined, read at use, never shown.
 */

import { createPublicKey } from "node:crypto";
import { PawlError, shown } from "../../base/errors.ts";
import { didYouMean } from "../../base/suggest.ts";
import {
  type FieldsOf,
  field,
  mapped,
  readOptions,
  required,
  withDefault,
  wrong,
} from "../../options/field.ts";
import { choice, matching } from "../../options/kinds.ts";
import { several } from "../../options/parts.ts";
import { describeSecret, isSecretRef, readSecret, type SecretRef } from "../../secrets/secret.ts";
import { JWT_ALGORITHMS, type JwtAlgorithm, signingKey } from "../../webhooks/jwt-keys.ts";
import type { RequestKeyOptions } from "../../webhooks/request-verifier.ts";

export type { JwtAlgorithm } from "../../webhooks/jwt-keys.ts";

const SECRETS_MAX = 16;
const KEY_NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,62}$/;
const NAME = matching('1 to 63 letters, digits, "_", "." and "-", starting with a letter', (text) =>
  KEY_NAME.test(text),
);
const KID = /^[\x21-\x7e]{1,128}$/;

export interface JwtKeyOptions {
  /** Default HS512. */
  algorithm?: JwtAlgorithm;
  /**
   * HS256 and HS512: text of at least 32 and 64 bytes (RFC 7518 section 3.2), or `base64:…` of as many. RS512 (from 2,048
   * bits) and EdDSA (ed25519): the private key as PEM. Best use a reference: `env("CRM_KEY")`. In a list, the first signs;
   * the others are the previous ones.
   */
  secret: string | SecretRef | readonly (string | SecretRef)[];
  /** Put into each token's header, so that receivers with several keys find the right one. */
  kid?: string;
}

export interface JwtKey {
  readonly name: string;
  readonly algorithm: JwtAlgorithm;
  readonly kid: string | undefined;
  /** The current one first. */
  readonly secrets: readonly (string | SecretRef)[];
}

const ONE_SECRET = field<string | SecretRef>({
  kind: "secret",
  help: "what signs, the current one first",
  shape: "secret",
  expected: 'a text, env("NAME") or file("/path")',
  isSecret: true,
  read: (given) => (typeof given === "string" || isSecretRef(given) ? given : undefined),
});

const KEY = {
  algorithm: withDefault("HS512", choice(JWT_ALGORITHMS)),
  secret: required(
    mapped(several(ONE_SECRET), (secrets, place) => {
      if (secrets.length >= 1 && secrets.length <= SECRETS_MAX) return secrets;
      throw wrong(place, `1 to ${SECRETS_MAX} secrets`, secrets.length);
    }),
  ),
  kid: matching("1 to 128 printable characters without spaces", (text) => KID.test(text)),
} satisfies FieldsOf<JwtKeyOptions>;

/** @throws PawlError `invalid_option`: options, or a secret given as text, that cannot sign */
export function defineKey(name: string, options: JwtKeyOptions): JwtKey {
  const what = whatOf(name);
  NAME.read(name, { label: "a key's name", option: "name" });
  const { algorithm, secret: secrets, kid } = readOptions(what, KEY, options);
  const key: JwtKey = { name, algorithm, kid, secrets };
  for (const one of secrets) if (typeof one === "string") signingKey(one, algorithm, what);
  return Object.freeze(key);
}

/** @throws PawlError `invalid_option` */
export function defineKeys(keys: Readonly<Record<string, JwtKeyOptions>>): Map<string, JwtKey> {
  return new Map(
    Object.entries(keys).map(([name, options]) => [name, defineKey(name, options)] as const),
  );
}

/** @throws PawlError `invalid_option` with the nearest name that is defined */
export function keyNamed(keys: ReadonlyMap<string, JwtKey>, name: string): JwtKey {
  const key = keys.get(name);
  if (key !== undefined) return key;
  throw new PawlError(
    "invalid_option",
    `no key ${shown(name)}; ${didYouMean(String(name), keys.keys())}; keys are defined in \`keys\` of defineApp`,
    { data: { option: "key", key: name } },
  );
}

/**
 * Reads every secret: at the start of a worker, before the first request needs one.
 *
 * @throws PawlError `invalid_environment` for one that is missing, `invalid_option` for one that cannot sign
 */
export function checkKey(key: JwtKey): void {
  for (const secret of key.secrets) {
    signingKey(readSecret(secret, whatOf(key.name)), key.algorithm, whatOf(key.name));
  }
}

/** How a key is shown: never its secrets. */
export function describeKey({ name, algorithm, kid, secrets }: JwtKey): Record<string, unknown> {
  return {
    name,
    algorithm,
    ...(kid !== undefined && { kid }),
    secrets: secrets.map(describeSecret),
  };
}

/**
 * Returns what a `requestVerifier` needs to accept tokens of this key, including previous secrets: for shared secrets the
 * secrets themselves, else the public keys.
 */
export function receiverKeys({ name, algorithm, secrets }: JwtKey): RequestKeyOptions[] {
  const what = whatOf(name);
  const isShared = algorithm === "HS256" || algorithm === "HS512";
  return secrets.map((secret) => {
    if (isShared) return { key: secret, algorithm };
    const pair = createPublicKey(signingKey(readSecret(secret, what), algorithm, what));
    return { key: pair.export({ format: "pem", type: "spki" }).toString(), algorithm };
  });
}

export function whatOf(name: string): string {
  return `key ${shown(name)}`;
}
