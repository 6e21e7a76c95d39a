/**
 * Tells a key of a pair from a shared secret, however it is written. Whoever takes a public key for a shared secret
 * signs, and accepts, what anybody could have signed. Invariant: random bytes are never taken for a key of a pair.
 */

import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";

/** Longer than any key of a pair in any of these forms; what is longer is not looked into. */
const CHARS_MAX = 100_000;
/** Base64 of base64, as secrets of Kubernetes are, and one more. */
const LAYERS_MAX = 3;
const ARMOR = /-{4,5} ?BEGIN (?<label>[A-Z0-9 ]+?) ?-{4,5}/;
const SSH_LINE = /(?:^|\s)(?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-[a-z0-9]+|sk-[a-z0-9@.-]+)\s+AAAA/;
/** What stands in a key of SSH: the length of the name of its algorithm in four bytes, then the name. */
const SSH_LENGTH_START = "\0\0\0";
const SSH_NAME = /^(?:ssh-|ecdsa-sha2-|sk-)/;
const SSH_PRIVATE_BLOB = "openssh-key-v1\0";
const XML = /<RSAKeyValue>/i;
const PREFIX = /^(?:base64:|whsec_|hex:|0x)/i;
const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/;
const HEX = /^(?:[0-9a-f]{2})+$/i;
const DER_SEQUENCE = 0x30;

export type KeyHalf = "public" | "private";

/** `undefined`: it may be a shared secret. A certificate counts as the public key inside it. */
export function pairHalfIn(secret: string | Uint8Array): KeyHalf | undefined {
  if (typeof secret !== "string") return halfOfBytes(Buffer.from(secret), LAYERS_MAX);
  return secret.length > CHARS_MAX ? undefined : halfOfText(secret, LAYERS_MAX);
}

function halfOfText(given: string, layers: number): KeyHalf | undefined {
  const text = given.replaceAll("\\n", "\n").trim();
  const { label } = ARMOR.exec(text)?.groups ?? {};
  if (label !== undefined) return label.includes("PRIVATE") ? "private" : "public";
  if (text.startsWith("whpk_") || SSH_LINE.test(text)) return "public";
  if (text.startsWith("whsk_")) return "private";
  if (XML.test(text)) return /<D>/i.test(text) ? "private" : "public";
  if (text.startsWith("{") || text.startsWith("[")) return halfOfJson(text);
  return layers === 0 ? undefined : halfOfEncoded(text, layers - 1);
}

function halfOfEncoded(text: string, layers: number): KeyHalf | undefined {
  const bare = text.replace(PREFIX, "").replace(/\s+/g, "");
  const colons = bare.replaceAll(":", "");
  const asHex = HEX.test(colons) ? halfOfBytes(Buffer.from(colons, "hex"), layers) : undefined;
  if (asHex !== undefined || !BASE64.test(bare)) return asHex;
  // Of both alphabets, padded or not.
  return halfOfBytes(Buffer.from(bare, "base64"), layers);
}

function halfOfBytes(bytes: Buffer, layers: number): KeyHalf | undefined {
  const start = bytes.toString("latin1", 0, 80);
  if (start.startsWith(SSH_LENGTH_START) && SSH_NAME.test(start.slice(4))) return "public";
  if (start.startsWith(SSH_PRIVATE_BLOB)) return "private";
  if (bytes[0] === DER_SEQUENCE) return halfOfDer(bytes);
  // Text inside, such as a whole PEM file in base64.
  return /^[\t\r\n\x20-\x7e]+$/.test(start)
    ? halfOfText(bytes.toString("latin1"), layers)
    : undefined;
}

/** The private ones first: of these a public key can be made. */
function halfOfDer(key: Buffer): KeyHalf | undefined {
  const isPrivate = (["pkcs8", "pkcs1", "sec1"] as const).some((type) =>
    succeeds(() => createPrivateKey({ key, format: "der", type })),
  );
  if (isPrivate) return "private";
  const isPublic =
    (["spki", "pkcs1"] as const).some((type) =>
      succeeds(() => createPublicKey({ key, format: "der", type })),
    ) || succeeds(() => new X509Certificate(key));
  return isPublic ? "public" : undefined;
}

/** A JWK, or a set of them. One of type `oct` is a shared secret, but not in this form: its `k` is. */
function halfOfJson(text: string): KeyHalf | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { keys } = (value ?? {}) as { keys?: unknown };
  const list: unknown[] = [value, keys].flat();
  const jwks = list.filter((one): one is { kty: string; d?: unknown } => {
    return typeof one === "object" && one !== null && "kty" in one;
  });
  if (jwks.length === 0) return undefined;
  return jwks.some(({ kty, d }) => d !== undefined || kty === "oct") ? "private" : "public";
}

function succeeds(act: () => unknown): boolean {
  try {
    act();
    return true;
  } catch {
    return false;
  }
}
