/** Status codes of answers as a request lists them: single ones, and ranges such as `"2xx"` or `"500-599"`. */

import { badOption } from "../../base/options.ts";

/** `202`, `"202"`, `"2xx"`, `"500-599"`; 200 to 599. */
export type StatusCodes = number | string;

/** The receiver has archived us: it wants nothing more, whatever else a request lists. */
export const ARCHIVED = 418;

const CODE_MIN = 200;
const CODE_MAX = 599;
const CODES_MAX = 100;
const SHAPE = /^(?:([2-5])xx|(\d{3})(?:-(\d{3}))?)$/i;

/** Each once and in its shortest form, in the order given. @throws PawlError `invalid_option` naming the list */
export function statusCodes(codes: unknown, name: string): StatusCodes[] {
  if (!Array.isArray(codes) || codes.length > CODES_MAX) {
    throw badOption("request", name, `a list of at most ${CODES_MAX} status codes`, codes);
  }
  return [...new Set(codes.map((code: unknown) => statusCode(code, name)))];
}

/** 418 is one of them, once. */
export function stopCodes(codes: unknown, name: string): StatusCodes[] {
  return [...new Set([ARCHIVED, ...statusCodes(codes, name)])];
}

/** `codes`: as `statusCodes` answers them. */
export function includesStatus(codes: readonly StatusCodes[], status: number): boolean {
  return codes.some((code) => {
    const range = rangeOf(code);
    return range !== undefined && status >= range.from && status <= range.to;
  });
}

function statusCode(code: unknown, name: string): StatusCodes {
  const range = typeof code === "number" || typeof code === "string" ? rangeOf(code) : undefined;
  if (range === undefined) {
    throw badOption(
      "request",
      name,
      `status codes from ${CODE_MIN} to ${CODE_MAX} such as 202, "2xx" or "500-599"`,
      code,
    );
  }
  return range.from === range.to ? range.from : String(code).toLowerCase();
}

function rangeOf(code: StatusCodes): { from: number; to: number } | undefined {
  const [match, hundred, first, last] = SHAPE.exec(String(code).trim()) ?? [];
  if (match === undefined) return undefined;
  const from = hundred === undefined ? Number(first) : Number(hundred) * 100;
  const to = hundred === undefined ? Number(last ?? first) : from + 99;
  return from >= CODE_MIN && to <= CODE_MAX && from <= to ? { from, to } : undefined;
}
