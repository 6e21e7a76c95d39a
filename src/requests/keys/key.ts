/**
 * The keys that an app signs its requests with, by name. The first secret signs; the previous ones only say
 * what receivers may still accept. Checked when defined, read at use, never shown.
 */

import { createPublicKey } from "node:crypto";
import { PawlError, shown } from "../../base/errors.ts";
import { refuseUnknownOptions } from "../../base/options.ts";
import { describeSecret, isSecretRef, readSecret, type SecretRef } from "../../base/secret.ts";
import { didYouMean } from "../../base/suggest.ts";
import { checkAlgorithm, type JwtAlgorithm, signingKey } from "../../webhooks/jwt-keys.ts";
import type { RequestKeyOptions } from "../../webhooks/request-verifier.ts";

export type { JwtAlgorithm } from "../../webhooks/jwt-keys.ts";

const ALGORITHM_DEFAULT: JwtAlgorithm = "HS512";
const SECRETS_MAX = 16;
const KEY_NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,62}$/;
const KID = /^[\x21-\x7e]{1,128}$/;

export interface JwtKeyOptions {
  /** Default HS512. */
  algorithm?: JwtAlgorithm;
  /**
   * HS256 and HS512: a text of at least 32 and 64 bytes (RFC 7518 section 3.2), or `base64:…` of as many.
   * RS512 (from 2,048 bits) and EdDSA (ed25519): the private key as PEM. Best a reference: `env("CRM_KEY")`. In a list the
   * first signs, and the others are those that it replaced.
   */
  secret: string | SecretRef | readonly (string | SecretRef)[];
  /** Stands in each token's header, so that receivers with several keys find the right one. */
  kid?: string;
}

export interface JwtKey {
  readonly name: string;
  readonly algorithm: JwtAlgorithm;
  readonly kid: string | undefined;
  /** The current one first. */
  readonly secrets: readonly (string | SecretRef)[];
}

/** @throws PawlError `invalid_option`: options, or a secret given as text, that cannot sign */
export function defineKey(name: string, options: JwtKeyOptions): JwtKey {
  const what = whatOf(name);
  if (!KEY_NAME.test(name)) {
    throw badKey(what, "its name is not 1 to 63 letters, digits, _, . or -, a letter first");
  }
  refuseUnknownOptions(what, options, ["algorithm", "secret", "kid"]);
  const { algorithm = ALGORITHM_DEFAULT, secret, kid } = options;
  checkAlgorithm(algorithm, what);
  if (kid !== undefined && !(typeof kid === "string" && KID.test(kid))) {
    throw badKey(what, "its `kid` is not 1 to 128 printable characters without spaces");
  }
  const secrets = Array.isArray(secret) ? (secret as readonly (string | SecretRef)[]) : [secret];
  if (secrets.length < 1 || secrets.length > SECRETS_MAX) {
    throw badKey(what, `expected 1 to ${SECRETS_MAX} secrets, got ${secrets.length}`);
  }
  const key = { name, algorithm, kid, secrets: [...secrets] as (string | SecretRef)[] };
  for (const one of key.secrets) checkSecret(one, key);
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
 * What a `requestVerifier` needs to accept this key's tokens, the previous ones' too: for shared secrets the
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

function checkSecret(secret: string | SecretRef, { name, algorithm }: JwtKey): void {
  const what = whatOf(name);
  if (isSecretRef(secret)) return;
  if (typeof secret === "string") {
    signingKey(secret, algorithm, what);
    return;
  }
  throw badKey(what, 'expected `secret` to be a text, env("NAME") or file("/path")');
}

function badKey(what: string, problem: string): PawlError {
  return new PawlError("invalid_option", `${what}: ${problem}`, { data: { option: what } });
}
