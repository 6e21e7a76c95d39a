/**
 * The master keys of PAWL_SECRET_KEY, or of the file that PAWL_SECRET_KEY_FILE names: `id:base64`, or the
 * base64 alone, separated by commas. The first is the newest. Never shown.
 */

import { createHash, createSecretKey, type KeyObject } from "node:crypto";
import { PawlError } from "../base/errors.ts";
import { didYouMean } from "../base/suggest.ts";
import { readSecretFile } from "./secret-file.ts";

export interface MasterKey {
  id: string;
  key: KeyObject;
}

const VARIABLE = "PAWL_SECRET_KEY";
const FILE_VARIABLE = "PAWL_SECRET_KEY_FILE";
const KEY_BYTES = 32;
const DERIVED_ID_CHARS = 8;
const KEY_ID = /^[A-Za-z0-9_-]{1,32}$/;
const MAKE_ONE = "make one with `openssl rand -base64 32`";

let parsed: { text: string; keys: readonly MasterKey[] } | undefined;

/** Whether there is a key to seal with, good or not. */
export function isKeySet(): boolean {
  const { PAWL_SECRET_KEY, PAWL_SECRET_KEY_FILE } = process.env;
  return Boolean(PAWL_SECRET_KEY) || Boolean(PAWL_SECRET_KEY_FILE);
}

/** @param what which secret needs it, for the message */
export function newestKey(what: string): MasterKey {
  const newest = masterKeys(what)[0];
  if (newest !== undefined) return newest;
  throw noKey(what);
}

export function keyNamed(id: string, what: string): MasterKey {
  const keys = masterKeys(what);
  const found = keys.find((one) => one.id === id);
  if (found !== undefined) return found;
  const known = didYouMean(
    id,
    keys.map((one) => one.id),
  );
  throw new PawlError(
    "invalid_environment",
    `${what}: its stored secret needs the key "${id}", which ${VARIABLE} does not hold (${known}); add it behind the newest, or enter the secret again`,
    { data: { variable: VARIABLE, keyId: id, option: what } },
  );
}

function masterKeys(what: string): readonly MasterKey[] {
  const text = keyText(what);
  if (text === undefined) throw noKey(what);
  if (parsed?.text !== text) parsed = { text, keys: parseKeys(text) };
  return parsed.keys;
}

function keyText(what: string): string | undefined {
  const text = process.env[VARIABLE] ?? "";
  const path = process.env[FILE_VARIABLE] ?? "";
  if (text !== "" && path !== "") {
    throw badKey(`${VARIABLE} and ${FILE_VARIABLE} are both set; keep one of them`);
  }
  if (path !== "") return readSecretFile(path, `${what}: ${FILE_VARIABLE}`);
  return text === "" ? undefined : text;
}

function parseKeys(text: string): MasterKey[] {
  const parts = text.split(",").map((part) => part.trim());
  const keys = parts.map(parseKey);
  for (const [index, { id }] of keys.entries()) {
    if (keys.findIndex((one) => one.id === id) === index) continue;
    throw badKey(`${VARIABLE}: two keys have the id "${id}"; give each its own`);
  }
  return keys;
}

/** The position, not the text, is named in messages: what stands before a wrong colon may be the key. */
function parseKey(part: string, index: number): MasterKey {
  const colon = part.indexOf(":");
  const encoded = part.slice(colon + 1);
  const bytes = Buffer.from(encoded, "base64");
  if (bytes.length !== KEY_BYTES || bytes.toString("base64") !== encoded) {
    throw badKey(
      `${VARIABLE}: key ${index + 1} is not the padded base64 of ${KEY_BYTES} bytes; ${MAKE_ONE}`,
    );
  }
  const id = colon < 0 ? derivedId(bytes) : part.slice(0, colon);
  if (KEY_ID.test(id)) return { id, key: createSecretKey(bytes) };
  throw badKey(`${VARIABLE}: the id of key ${index + 1} is not 1 to 32 letters, digits, - or _`);
}

function derivedId(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex").slice(0, DERIVED_ID_CHARS);
}

function noKey(what: string): PawlError {
  return new PawlError(
    "invalid_environment",
    `${what}: a secret that is stored needs ${VARIABLE}, which is not set; ${MAKE_ONE} and set it in the environment of every process of the app (or its path in ${FILE_VARIABLE}); or refer to the secret as env:NAME or file:/path`,
    { data: { variable: VARIABLE, option: what } },
  );
}

function badKey(message: string): PawlError {
  return new PawlError("invalid_environment", message, { data: { variable: VARIABLE } });
}
