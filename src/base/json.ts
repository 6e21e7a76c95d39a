/** JSON that PostgreSQL can store: no bigint, no cycle, no \u0000, no lone surrogate. */

import type { ErrorCode } from "./error-codes.ts";
import { PawlError, shown } from "./errors.ts";
import { textLimits } from "./json-limits.ts";
import { RawJson } from "./json-text.ts";
import { type Looked, lookThrough, NotPlain } from "./plain.ts";
import { messageOf } from "./thrown.ts";

/** An escape after an even number of backslashes is real: `\\u0000` is a backslash and the letters u0000. */
const UNSTORABLE = /(?<!\\)(?:\\\\)*\\u(0000|d[89ab][0-9a-f]{2}|d[c-f][0-9a-f]{2})/i;
/** Both halves of one character: `JSON.stringify` does not write them so, others do. */
const SURROGATE_PAIR = /(?<!\\)((?:\\\\)*)\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}/gi;

export interface JsonLimits {
  /** What the value is, for messages: `payload of job "send-email"`. Its first word names it in paths. */
  what: string;
  /** Of its text as PostgreSQL writes it: with a space behind each comma and colon, and without exponents. */
  bytesMax: number;
  codes?: { notJson: ErrorCode; tooLarge: ErrorCode };
  /** What JSON cannot hold is left out or null, as `JSON.stringify` has it, instead of being refused. */
  isLossy?: boolean;
}

/** A value as JSON, and whether JSON gives back the same value. */
export interface JsonForm {
  text: string;
  isSame: boolean;
}

/**
 * `undefined` becomes `null`.
 * @throws PawlError `payload_not_json`, `payload_too_large`
 */
export function toJson(value: unknown, limits: JsonLimits): string {
  return jsonForm(value, limits).text;
}

/** @throws PawlError `payload_not_json`, `payload_too_large` */
export function jsonForm(value: unknown, limits: JsonLimits): JsonForm {
  if (value instanceof RawJson) return { text: rawText(value.text, limits), isSame: false };
  const { isSame, extraBytes } = looked(value, limits);
  const text = stringify(value, limits);
  refuseUnstorable(text, limits);
  refuseTooLarge(text, extraBytes, limits);
  return { text, isSame };
}

function rawText(text: string, limits: JsonLimits): string {
  refuseUnstorable(text, limits);
  const { fault, extraBytes } = textLimits(text);
  if (fault !== undefined) {
    throw new PawlError(limits.codes?.notJson ?? "payload_not_json", `${limits.what}: ${fault}`);
  }
  refuseTooLarge(text, extraBytes, limits);
  return text;
}

function refuseUnstorable(text: string, { what, codes }: JsonLimits): void {
  if (!text.includes("\\u") || !UNSTORABLE.test(text.replace(SURROGATE_PAIR, "$1_"))) return;
  throw new PawlError(
    codes?.notJson ?? "payload_not_json",
    `${what}: holds \\u0000 or half a surrogate pair, which PostgreSQL cannot store; remove it or encode the bytes as base64`,
  );
}

function refuseTooLarge(text: string, extraBytes: number, limits: JsonLimits): void {
  const { what, bytesMax } = limits;
  const atLeast = text.length + extraBytes;
  const bytes =
    text.length * 3 + extraBytes > bytesMax ? Buffer.byteLength(text) + extraBytes : atLeast;
  if (bytes <= bytesMax) return;
  throw tooLarge(
    `${what}: ${bytes} bytes, the limit is ${bytesMax}; store the data elsewhere and pass a reference, or raise maxPayloadBytes`,
    limits,
    { bytes, bytesMax },
  );
}

function looked(value: unknown, limits: JsonLimits): Looked {
  const { what, bytesMax } = limits;
  try {
    return lookThrough(value, limits);
  } catch (error) {
    if (!(error instanceof NotPlain)) throw notJson(error, value, limits);
    if (error.kind === "large") {
      throw tooLarge(
        `${what}: ${error.message}, the limit is ${bytesMax}; store the data elsewhere and pass a reference, or raise maxPayloadBytes`,
        limits,
        { bytesMax },
      );
    }
    throw new PawlError(
      limits.codes?.notJson ?? "payload_not_json",
      `${what}: ${error.message}; pass plain data: convert everything else, break cycles`,
    );
  }
}

function tooLarge(message: string, { codes }: JsonLimits, data: object = {}): PawlError {
  return new PawlError(codes?.tooLarge ?? "payload_too_large", message, { data: { ...data } });
}

function stringify(value: unknown, limits: JsonLimits): string {
  try {
    return JSON.stringify(value) ?? "null";
  } catch (error) {
    throw notJson(error, value, limits);
  }
}

function notJson(error: unknown, value: unknown, { what, codes }: JsonLimits): PawlError {
  const why = messageOf(error).split("\n")[0];
  return new PawlError(
    codes?.notJson ?? "payload_not_json",
    `${what}: is not JSON (${why}); pass plain data: convert bigint to string, break cycles`,
    { cause: error, data: { value: shown(value) } },
  );
}
