/**
 * How deep JSON may be nested and how long its numbers may be, wherever it comes in: what is deeper ends programs that
 * read it by recursion, and 1e131071 is eight characters here and 131,072 in PostgreSQL.
 */

import { PawlError } from "./errors.ts";

export const DEPTH_MAX = 500;
/** Of a number that is written without an exponent, before and after the point. */
const DIGITS_MAX = 1_000;

const TOO_LONG = `holds a number of more than ${DIGITS_MAX} digits`;
const QUOTE = 34;
const BACKSLASH = 92;
const DEEPER: Readonly<Record<string, number>> = { "[": 1, "{": 1, "]": -1, "}": -1 };
const NUMBER = /-?(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?/y;

export interface TextLimits {
  fault?: string;
  /** What exponents add when they are written out. */
  extraBytes: number;
}

/** Of valid JSON, as text, without recursion. */
export function textLimits(text: string, depthMax: number = DEPTH_MAX): TextLimits {
  let depth = 0;
  let extraBytes = 0;
  for (let i = 0; i < text.length; i += 1) {
    const char = text[i] ?? "";
    if (char === '"') i = endOfString(text, i + 1);
    depth += DEEPER[char] ?? 0;
    if (char >= "0" && char <= "9") {
      const { end, digits, exponent } = numberAt(text, i);
      if (digits > DIGITS_MAX) return { fault: TOO_LONG, extraBytes };
      extraBytes += exponent;
      i = end - 1;
    }
    if (depth > depthMax)
      return { fault: `is nested more than ${depthMax} levels deep`, extraBytes };
  }
  return { extraBytes };
}

/**
 * Of a value that is no text yet, without recursion, for those that go through it by recursion.
 * @throws PawlError `invalid_option`
 */
export function refuseTooDeep(value: unknown, what: string): void {
  const deepest = new Map<object, number>();
  const open: [unknown, number][] = [[value, 0]];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const [part, depth] = next;
    if (typeof part !== "object" || part === null || ArrayBuffer.isView(part)) continue;
    if (depth >= DEPTH_MAX) {
      throw new PawlError(
        "invalid_option",
        `${what}: is nested more than ${DEPTH_MAX} levels deep, or contains itself; make it flatter`,
      );
    }
    if ((deepest.get(part) ?? -1) >= depth) continue; // shared, and gone through
    deepest.set(part, depth);
    for (const inside of Object.values(part)) open.push([inside, depth + 1]);
  }
}

/** Whether what is `inside` levels into a text is deeper than it may be. Two brackets a level: a short text is not. */
export function isTooDeep(text: string, inside: number): boolean {
  if (text.length <= 2 * DEPTH_MAX) return false;
  return textLimits(text, DEPTH_MAX + inside).fault?.includes("levels") === true;
}

function numberAt(text: string, at: number): { end: number; digits: number; exponent: number } {
  NUMBER.lastIndex = at;
  const [all = "", whole = "", fraction = "", power = "0"] = NUMBER.exec(text) ?? [];
  const exponent = Math.abs(Number(power));
  const digits = whole.length + fraction.length + exponent;
  return { end: at + Math.max(all.length, 1), digits, exponent };
}

function endOfString(text: string, start: number): number {
  for (let i = start; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) return i;
    if (code === BACKSLASH) i += 1;
  }
  return text.length;
}
