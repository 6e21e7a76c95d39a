/** An error as it is stored with an attempt: bounded, masked, and safe for jsonb whatever was thrown. */

import { isEmptyRecord, printable, shown } from "./errors.ts";
import { toJson } from "./json.ts";
import { maskText } from "./mask.ts";
import { maskContent } from "./mask-json.ts";
import { TEXT_CHARS_MAX } from "./text-cut.ts";
import { asText, causesOf, innerErrors, isErrorLike, messageOf, read, storable } from "./thrown.ts";

const NAME_CHARS_MAX = 200;
/** Of each error inside an AggregateError. */
const INNER_CHARS_MAX = 1_000;

export interface ErrorJson {
  name: string;
  message: string;
  stack?: string;
  code?: string;
  data?: unknown;
  /** The messages of its causes, the nearest first; a maximum of 5. */
  cause?: string;
  /** What an AggregateError holds; a maximum of 10. */
  errors?: { name: string; message: string; code?: string }[];
}

/** Never throws. */
export function errorToJson(thrown: unknown): ErrorJson {
  if (!isErrorLike(thrown)) return { name: "Error", message: messageOf(thrown) };
  const stack = read(thrown, "stack");
  const cause = causesOf(thrown);
  const errors = innerErrors(thrown);
  return {
    ...named(thrown),
    ...(typeof stack === "string" && { stack: maskText(storable(stack)) }),
    ...dataOf(read(thrown, "data")),
    ...(cause !== undefined && { cause }),
    ...(errors.length > 0 && {
      errors: errors.map((inner) => {
        const { message, ...rest } = named(inner);
        return { ...rest, message: storable(message, INNER_CHARS_MAX) };
      }),
    }),
  };
}

function named(thrown: unknown): { name: string; message: string; code?: string } {
  const name = read(thrown, "name");
  const code = read(thrown, "code");
  return {
    name: maskText(
      storable(name === undefined || name === "" ? "Error" : asText(name), NAME_CHARS_MAX),
    ),
    message: messageOf(thrown),
    ...((typeof code === "string" || typeof code === "number") && {
      code: maskText(storable(String(code), NAME_CHARS_MAX)),
    }),
  };
}

/** Data that has no JSON is kept field by field, or not at all. */
function dataOf(data: unknown): { data?: unknown } {
  if (data === undefined) return {};
  const stored =
    asJson(() => data) ?? asJson(() => (isObject(data) ? printable(data) : shown(data)));
  return stored === undefined || isEmptyRecord(stored) ? {} : { data: stored };
}

function isObject(data: unknown): data is object {
  return typeof data === "object" && data !== null;
}

function asJson(value: () => unknown): unknown {
  try {
    return JSON.parse(
      maskContent(toJson(value(), { what: "error data", bytesMax: TEXT_CHARS_MAX, isLossy: true })),
    );
  } catch {
    return undefined;
  }
}
