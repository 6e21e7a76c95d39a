/**
 * Keys of JWTs from their text. The kind of the key decides which algorithms it may serve, so that a token
 * cannot choose: a public key is never taken for a shared secret. No message shows a key.
 */

import { createPrivateKey, createPublicKey, createSecretKey, type KeyObject } from "node:crypto";
import { PawlError, shown } from "../base/errors.ts";
import { pairHalfIn } from "../base/key-shape.ts";
import { didYouMean } from "../base/suggest.ts";

export type JwtAlgorithm = "HS256" | "HS512" | "RS512" | "EdDSA";

export const JWT_ALGORITHMS: readonly JwtAlgorithm[] = ["HS256", "HS512", "RS512", "EdDSA"];
/** RFC 7518 section 3.2: an HMAC key is at least as long as the hash. */
const SHARED_BYTES_MIN = { HS256: 32, HS512: 64 } as const;
/** RFC 7518 section 3.3. */
const RSA_BITS_MIN = 2_048;
const KEYS_KEPT_MAX = 10_000;
const BASE64_PREFIX = "base64:";
/** Any begin line of PEM, also where the line breaks of an environment variable were lost. */
const PEM = /-----BEGIN [A-Z0-9 ]+-----/;

const kept = new Map<string, KeyObject>();

export function checkAlgorithm(value: unknown, what: string): JwtAlgorithm {
  const found = JWT_ALGORITHMS.find((one) => one === value);
  if (found !== undefined) return found;
  throw new PawlError(
    "invalid_option",
    `${what}: no algorithm ${shown(value)}; ${didYouMean(String(value), JWT_ALGORITHMS)}`,
    { data: { option: what } },
  );
}

/** @throws PawlError `invalid_option` for a key that is not fit to sign with this algorithm */
export function signingKey(text: string, algorithm: JwtAlgorithm, what: string): KeyObject {
  return cached(`sign ${algorithm} ${text}`, () => {
    if (algorithm === "HS256" || algorithm === "HS512") return sharedKey(text, algorithm, what);
    return checkPair(readPem(text, "private", what), algorithm, what);
  });
}

/** @throws PawlError `invalid_option` for a key that is not fit to verify this algorithm */
export function verifyingKey(text: string, algorithm: JwtAlgorithm, what: string): KeyObject {
  return cached(`verify ${algorithm} ${text}`, () => {
    if (algorithm === "HS256" || algorithm === "HS512") return sharedKey(text, algorithm, what);
    return checkPair(readPem(text, "public", what), algorithm, what);
  });
}

/** The algorithms that a receiver's key may serve: RSA and ed25519 one each, a shared secret by its length. */
export function algorithmsOf(text: string, what: string): readonly JwtAlgorithm[] {
  if (PEM.test(text)) {
    return [readPem(text, "public", what).asymmetricKeyType === "rsa" ? "RS512" : "EdDSA"];
  }
  return sharedBytes(text, what).length >= SHARED_BYTES_MIN.HS512 ? ["HS512", "HS256"] : ["HS256"];
}

function cached(name: string, make: () => KeyObject): KeyObject {
  const known = kept.get(name);
  if (known !== undefined) return known;
  const key = make();
  if (kept.size >= KEYS_KEPT_MAX) kept.clear();
  kept.set(name, key);
  return key;
}

function sharedKey(text: string, algorithm: "HS256" | "HS512", what: string): KeyObject {
  const bytes = sharedBytes(text, what);
  const least = SHARED_BYTES_MIN[algorithm];
  if (bytes.length >= least) return createSecretKey(bytes);
  throw badKey(
    what,
    `${algorithm} needs a secret of at least ${least} bytes (RFC 7518 section 3.2), this one has ${bytes.length}; make one with \`openssl rand -hex ${least}\``,
  );
}

/** The text itself is the key, as most JWT libraries take it; `base64:` marks encoded bytes. */
function sharedBytes(text: string, what: string): Buffer {
  if (PEM.test(text)) {
    throw badKey(what, "a PEM key cannot be a shared secret; set `algorithm` to RS512 or EdDSA");
  }
  const half = pairHalfIn(text);
  if (half !== undefined) {
    throw badKey(
      what,
      `this is the ${half} key of a pair, which cannot be a shared secret; give it as PEM (-----BEGIN …), with \`algorithm\` RS512 or EdDSA`,
    );
  }
  if (!text.startsWith(BASE64_PREFIX)) return Buffer.from(text);
  const encoded = text.slice(BASE64_PREFIX.length);
  const bytes = Buffer.from(encoded, "base64");
  if (bytes.toString("base64") === encoded) return bytes;
  throw badKey(what, `what follows ${BASE64_PREFIX} is not padded standard base64`);
}

function readPem(text: string, half: "private" | "public", what: string): KeyObject {
  // A key in an environment variable has often kept the two characters \n in the place of line breaks.
  const pem = text.replaceAll("\\n", "\n");
  const isPublic = pem.includes("PUBLIC KEY-----");
  if (!PEM.test(pem)) throw badKey(what, `expected the ${half} key as PEM (-----BEGIN …)`);
  if (half === "private" && isPublic) {
    throw badKey(what, "a public key cannot sign; give the private key");
  }
  if (half === "public" && pem.includes("PRIVATE KEY-----")) {
    throw badKey(what, "a private key belongs to the sender alone; give the public key");
  }
  try {
    return half === "private" ? createPrivateKey(pem) : createPublicKey(pem);
  } catch {
    throw badKey(what, `the ${half} key cannot be read; it must be whole, as PEM, unencrypted`);
  }
}

function checkPair(key: KeyObject, algorithm: "RS512" | "EdDSA", what: string): KeyObject {
  const type = key.asymmetricKeyType ?? "unknown";
  const needed = algorithm === "RS512" ? "rsa" : "ed25519";
  if (type !== needed) throw badKey(what, `${algorithm} needs an ${needed} key, got ${type}`);
  const bits = key.asymmetricKeyDetails?.modulusLength ?? RSA_BITS_MIN;
  if (bits >= RSA_BITS_MIN) return key;
  throw badKey(what, `RS512 needs a key of at least ${RSA_BITS_MIN} bits, this one has ${bits}`);
}

function badKey(what: string, problem: string): PawlError {
  return new PawlError("invalid_option", `${what}: ${problem}`, { data: { option: what } });
}
