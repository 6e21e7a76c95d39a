/** JSON that PostgreSQL can store: no bigint, no cycle, no \u0000, no lone surrogate. */

import type { ErrorCode } from "./error-codes.ts";
import { PawlError, shown, toError } from "./errors.ts";

const ERROR_CHARS_MAX = 8_000;
/** An escape after an even number of backslashes is real: `\\u0000` is a backslash and the letters u0000. */
const UNSTORABLE = /(?<!\\)(?:\\\\)*\\u(0000|d[89ab][0-9a-f]{2}|d[c-f][0-9a-f]{2})/i;

export interface JsonLimits {
  /** What the value is, for messages: `payload of job "send-email"`. */
  what: string;
  bytesMax: number;
  codes?: { notJson: ErrorCode; tooLarge: ErrorCode };
}

/**
 * `undefined` becomes `null`.
 * @throws PawlError `payload_not_json`, `payload_too_large`
 */
export function toJson(value: unknown, { what, bytesMax, codes }: JsonLimits): string {
  const notJson = codes?.notJson ?? "payload_not_json";
  const text = stringify(value, what, notJson);
  if (text.includes("\\u") && UNSTORABLE.test(text)) {
    throw new PawlError(
      notJson,
      `${what}: holds \\u0000 or half a surrogate pair, which PostgreSQL cannot store; remove it or encode the bytes as base64`,
    );
  }
  const bytes = text.length * 3 > bytesMax ? Buffer.byteLength(text) : text.length;
  if (bytes > bytesMax) {
    throw new PawlError(
      codes?.tooLarge ?? "payload_too_large",
      `${what}: ${bytes} bytes, the limit is ${bytesMax}; store the data elsewhere and pass a reference, or raise maxPayloadBytes`,
      { data: { bytes, bytesMax } },
    );
  }
  return text;
}

function stringify(value: unknown, what: string, code: ErrorCode): string {
  try {
    return JSON.stringify(value) ?? "null";
  } catch (error) {
    const why = toError(error).message.split("\n")[0];
    throw new PawlError(
      code,
      `${what}: is no JSON (${why}); pass plain data: convert bigint to string, break cycles`,
      {
        cause: error,
        data: { value: shown(value) },
      },
    );
  }
}

export interface ErrorJson {
  name: string;
  message: string;
  stack?: string;
  code?: string;
  data?: unknown;
  cause?: string;
}

/** An error as stored with an attempt: bounded, and safe for jsonb whatever was thrown. */
export function errorToJson(thrown: unknown): ErrorJson {
  const error = toError(thrown);
  const { code, data, cause } = error as { code?: unknown; data?: unknown; cause?: unknown };
  return {
    name: storable(error.name),
    message: storable(error.message),
    ...(error.stack !== undefined && { stack: storable(error.stack) }),
    ...((typeof code === "string" || typeof code === "number") && { code: storable(String(code)) }),
    ...(data !== undefined && storableData(data)),
    ...(cause !== undefined && { cause: storable(toError(cause).message) }),
  };
}

function storable(text: string): string {
  return text.slice(0, ERROR_CHARS_MAX).toWellFormed().replaceAll("\u0000", "\\0");
}

function storableData(data: unknown): { data?: unknown } {
  try {
    return { data: JSON.parse(toJson(data, { what: "error data", bytesMax: ERROR_CHARS_MAX })) };
  } catch {
    return {};
  }
}
