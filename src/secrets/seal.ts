/**
 * What an operator typed in, encrypted at rest: AES-256-GCM under a master key of the environment. The
 * context is authenticated too, so that a sealed value cannot be used in another place. Only the newest
 * key seals; every known key opens.
 */

import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { PawlError } from "../base/errors.ts";
import { refuseTooDeep } from "../base/json-limits.ts";
import { keyNamed, type MasterKey, newestKey } from "./master-keys.ts";

const PLAIN_BYTES_MAX = 65_536;
/** NIST SP 800-38D: random nonces of 96 bits, tags of 128. */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const FORM = /^v1:([A-Za-z0-9_-]{1,32}):([A-Za-z0-9_-]{16}):([A-Za-z0-9_-]{22,})$/;

export interface Sealed {
  /** `v1:<id of the key>:<nonce>:<ciphertext and tag>`, the last two in base64url. */
  readonly sealed: string;
  /** Where the secret belongs: `destination:erp`. */
  readonly context: string;
}

/**
 * Encrypts under the first key of PAWL_SECRET_KEY. Twice the same text gives two different values.
 *
 * @param context where the secret belongs, such as `destination:erp`; kept beside it, in the open
 * @throws PawlError `invalid_environment` without a key; `invalid_option` for no text or too much of it
 */
export function seal(plain: string, context: string): Sealed {
  if (typeof plain !== "string" || plain === "" || Buffer.byteLength(plain) > PLAIN_BYTES_MAX) {
    throw new PawlError(
      "invalid_option",
      `${context}: expected a secret of 1 to ${PLAIN_BYTES_MAX} bytes of text`,
      { data: { option: context } },
    );
  }
  const { id, key } = newestKey(context);
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(authenticated(id, context));
  const parts = [cipher.update(plain, "utf8"), cipher.final(), cipher.getAuthTag()];
  const text = Buffer.concat(parts).toString("base64url");
  return Object.freeze({ sealed: `v1:${id}:${nonce.toString("base64url")}:${text}`, context });
}

/**
 * @throws PawlError `invalid_environment` when no key opens it: the key is missing, or the value was altered
 * or belongs to another context
 */
export function unseal(sealed: Sealed): string {
  const parts = FORM.exec(sealed.sealed);
  if (parts === null) throw damaged(sealed, "it is not of the form v1:key:nonce:text");
  const [, id = "", nonce = "", text = ""] = parts;
  return open(sealed, keyNamed(id, sealed.context), Buffer.from(nonce, "base64url"), text);
}

function open(sealed: Sealed, { id, key }: MasterKey, nonce: Buffer, text: string): string {
  const bytes = Buffer.from(text, "base64url");
  const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(authenticated(id, sealed.context));
  decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
  try {
    const plain = decipher.update(bytes.subarray(0, -TAG_BYTES));
    return Buffer.concat([plain, decipher.final()]).toString("utf8");
  } catch {
    throw damaged(sealed, `the key "${id}" does not open it: it was altered, or is another's`);
  }
}

/** The same secret under the newest key; the value itself when it is sealed with that already. */
export function reseal(sealed: Sealed): Sealed {
  const id = FORM.exec(sealed.sealed)?.[1];
  if (id === newestKey(sealed.context).id) return sealed;
  return seal(unseal(sealed), sealed.context);
}

/** The same configuration with every sealed value in it under the newest key; itself when each is already. */
export function resealAll<Config>(config: Config): Config {
  refuseTooDeep(config, "a configuration with secrets");
  return resealed(config);
}

function resealed<Config>(config: Config): Config {
  if (config === null || typeof config !== "object" || ArrayBuffer.isView(config)) return config;
  if (isSealed(config)) return reseal(config) as Sealed & Config;
  const before: [string, unknown][] = Object.entries(config);
  const after = before.map(([name, value]) => [name, resealed(value)] as const);
  if (after.every(([, value], i) => value === before[i]?.[1])) return config;
  return (
    Array.isArray(config) ? after.map(([, value]) => value) : Object.fromEntries(after)
  ) as Config;
}

export function isSealed(value: unknown): value is Sealed {
  if (value === null || typeof value !== "object") return false;
  const { sealed, context } = value as { sealed?: unknown; context?: unknown };
  return (
    typeof sealed === "string" && typeof context === "string" && Object.keys(value).length === 2
  );
}

/**
 * Checks a configuration that was read back: every sealed value in it must have been sealed for `context`.
 *
 * @throws PawlError `invalid_option` for one that was carried over from another place
 */
export function refuseForeignSeals(config: unknown, context: string): void {
  refuseTooDeep(config, context);
  refuseForeign(config, context);
}

function refuseForeign(config: unknown, context: string): void {
  if (config === null || typeof config !== "object" || ArrayBuffer.isView(config)) return;
  if (!isSealed(config)) {
    for (const value of Object.values(config)) refuseForeign(value, context);
    return;
  }
  if (config.context === context) return;
  throw new PawlError(
    "invalid_option",
    `${context}: holds a secret that was stored for ${config.context}; enter the secret again`,
    { data: { option: context, context: config.context } },
  );
}

function authenticated(keyId: string, context: string): Buffer {
  return Buffer.from(`pawl:v1:${keyId}:${context}`);
}

function damaged({ context }: Sealed, problem: string): PawlError {
  return new PawlError(
    "invalid_environment",
    `${context}: the stored secret cannot be opened, ${problem}; restore PAWL_SECRET_KEY, or enter the secret again`,
    { data: { variable: "PAWL_SECRET_KEY", context } },
  );
}
