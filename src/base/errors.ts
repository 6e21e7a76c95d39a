/**
 * The one base class of Pawl's errors. A message says subject, what happened, the value and what to do;
 * callers branch on `code`, never on the message. Subclasses exist only where a handler throws them.
 */

import { ERROR_CODES, type ErrorCode } from "./error-codes.ts";

const VALUE_CHARS_MAX = 120;

export interface PawlErrorOptions {
  cause?: unknown;
  /** The values behind the message, for machines. Never secrets. */
  data?: Record<string, unknown>;
}

export class PawlError extends Error {
  override name = "PawlError";
  readonly code: ErrorCode;
  readonly data: Record<string, unknown>;

  constructor(code: ErrorCode, message: string, options: PawlErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.data = options.data ?? {};
  }

  get exitCode(): number {
    return ERROR_CODES[this.code];
  }

  toJSON(): { code: ErrorCode; message: string; data: object } {
    return { code: this.code, message: this.message, data: printable(this.data) };
  }
}

/** Shows a value inside a message: JSON where possible, cut at 120 characters, never throwing. */
export function shown(value: unknown): string {
  const text = shownWhole(value);
  return text.length > VALUE_CHARS_MAX ? `${text.slice(0, VALUE_CHARS_MAX)}…` : text;
}

/** The same data where it is JSON; else each value that is not JSON as it would be shown in a message. */
export function printable<Data extends object>(data: Data): Data | Record<string, unknown> {
  if (isJson(data)) return data;
  return Object.fromEntries(
    Object.entries(data).map(([name, value]) => [name, isJson(value) ? value : shown(value)]),
  );
}

function isJson(value: unknown): boolean {
  try {
    JSON.stringify(value);
    return true;
  } catch {
    return false;
  }
}

function shownWhole(value: unknown): string {
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "function") return `function ${value.name || "(anonymous)"}`;
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return Object.prototype.toString.call(value);
  }
}

/** Whatever was thrown, as an Error: a handler may throw a string, null, or a circular object. */
export function toError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown;
  return new Error(typeof thrown === "string" ? thrown : `thrown: ${shown(thrown)}`);
}
