/**
 * The base class of Pawl's errors. A message says subject, what happened, the value and what to do. Branch on `code`, never
 * on the message. Subclasses exist only where a handler throws them.
 */

import { types } from "node:util";
import { ERROR_CODES, type ErrorCode } from "./error-codes.ts";
import { jsonParts } from "./json-parts.ts";
import { cut } from "./text-cut.ts";
import { asText, isA, isErrorLike, messageOf, read, shownWhole } from "./thrown.ts";

const VALUE_CHARS_MAX = 120;
/** Maximum number of fields of `data` that are shown. */
const NAMES_MAX = 200;

export interface PawlErrorOptions {
  cause?: unknown;
  /** The values behind the message, for programs. Never secrets. */
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

  /** Leaves `data` out if there is none. */
  toJSON(): { code: ErrorCode; message: string; data?: object } {
    const { code, message } = this;
    const given = Object.entries(this.data).filter(([, value]) => value !== undefined);
    const data = Object.fromEntries(given);
    return { code, message, ...(given.length > 0 && { data: printable(data) }) };
  }
}

/** Shows a value inside a message: JSON where possible, cut at 120 characters, never throwing. */
export function shown(value: unknown): string {
  return excerpt(shownWhole(value));
}

function excerpt(text: string): string {
  return text.length > VALUE_CHARS_MAX ? `${cut(text, VALUE_CHARS_MAX)}…` : text;
}

/** Returns the same data if it is JSON of a readable size; otherwise each value that is not becomes text, as in a message. */
export function printable<Data extends object>(data: Data): Data | Record<string, unknown> {
  const names = namesOf(data);
  if (names === undefined) return { data: shown(data) };
  const some = names.slice(0, NAMES_MAX).map((name) => ({ name, ...printed(read(data, name)) }));
  if (some.length === names.length && some.every((one) => one.isWhole)) return data;
  return Object.fromEntries(some.map(({ name, value }) => [name, value]));
}

function namesOf(data: object): string[] | undefined {
  try {
    return typeof data !== "object" || ArrayBuffer.isView(data) ? undefined : Object.keys(data);
  } catch {
    return undefined; // a proxy
  }
}

function printed(value: unknown): { value: unknown; isWhole: boolean } {
  try {
    const { text, isWhole } = jsonParts(value);
    if (isWhole) return { value, isWhole };
    return { value: text === undefined ? shown(value) : excerpt(text), isWhole };
  } catch {
    return { value: shown(value), isWhole: false };
  }
}

/**
 * Runs code about a thing with a name, such as `destination "erp"`: a message that does not begin with the name gets it at its
 * start.
 */
export function aboutIt<T>(where: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw ofIt(where, error);
  }
}

/** Returns a PawlError whose message begins with the name of its subject; any other error unchanged. */
export function ofIt(where: string, error: unknown): unknown {
  if (!isA(error, PawlError) || error.message.startsWith(where)) return error;
  return new PawlError(error.code, `${where}: ${error.message}`, {
    data: error.data,
    cause: error,
  });
}

export function isEmptyRecord(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

/**
 * Returns a thrown value as an Error that is safe to read: the same one if it is such an Error, else a new one with its
 * name, message, stack and code as texts. A handler may throw a string, null, a proxy, or an Error whose getters throw.
 */
export function toError(thrown: unknown): Error {
  if (isPlainError(thrown)) return thrown;
  const error = new Error(messageOf(thrown));
  if (!isErrorLike(thrown)) return error;
  const [name, stack, code] = ["name", "stack", "code"].map((field) => read(thrown, field));
  if (name !== undefined) error.name = asText(name);
  if (typeof stack === "string") error.stack = stack;
  return typeof code === "string" || typeof code === "number"
    ? Object.assign(error, { code })
    : error;
}

function isPlainError(thrown: unknown): thrown is Error {
  if (types.isProxy(thrown) || !isA(thrown, Error)) return false;
  const [message, stack] = [read(thrown, "message"), read(thrown, "stack")];
  return (
    typeof read(thrown, "name") === "string" &&
    typeof message === "string" &&
    (message !== "" || messageOf(thrown) === "") &&
    (stack === undefined || typeof stack === "string")
  );
}
