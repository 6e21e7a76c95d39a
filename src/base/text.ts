/** Texts that name something: PostgreSQL can store them, and they have room in an index. */

import { cut } from "./text-cut.ts";
import { asText, storable } from "./thrown.ts";

const NAME_CHARS_SHOWN = 200;

/** PostgreSQL stores no \u0000 and no half of a surrogate pair, such as an emoji that was cut in two. */
export function isStorable(text: string): boolean {
  return text.isWellFormed() && !text.includes("\0");
}

/** True for a text of 1 to `charsMax` characters that can be stored; counted as PostgreSQL does, an emoji as one. */
export function isName(value: unknown, charsMax: number): value is string {
  return (
    typeof value === "string" && value !== "" && isWithin(value, charsMax) && isStorable(value)
  );
}

function isWithin(text: string, charsMax: number): boolean {
  if (text.length <= charsMax) return true;
  return text.length <= 2 * charsMax && Array.from(text).length <= charsMax;
}

/** For the data of an error: what was given, not longer than a name may be. */
export function dataText(value: unknown): string {
  return cut(asText(value), NAME_CHARS_SHOWN);
}

/** The same text where it can be stored; else what cannot is replaced. For what must be written whatever it holds. */
export function storableText(text: unknown): string {
  return storable(asText(text));
}
