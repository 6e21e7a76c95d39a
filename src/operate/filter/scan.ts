/** Cuts the text of a filter into its terms: `-queue:mail,"odd name" age:>10m payload.user.id:42`. It knows no names of fields. */

export interface ScannedTerm {
  isNot: boolean;
  /** `payload.user.id` is `["payload", "user", "id"]`. */
  name: string[];
  /** `>`, `>=`, `<`, `<=`, or empty. */
  comparison: string;
  values: ScannedValue[];
  /** Of its first character, from 1. */
  at: number;
}

export interface ScannedValue {
  text: string;
  /** A quoted value is taken as it is: `*` in it is a character. */
  isQuoted: boolean;
  at: number;
}

/** What is wrong, and where. */
export class FilterFault extends Error {
  readonly at: number;
  readonly found: string;

  constructor(message: string, at: number, found: string) {
    super(message);
    this.at = at;
    this.found = found;
  }
}

interface Cursor {
  readonly text: string;
  at: number;
}

const SPACE = /\s/;

/** @throws FilterFault */
export function scanFilter(text: string): ScannedTerm[] {
  const cursor: Cursor = { text, at: 0 };
  const terms: ScannedTerm[] = [];
  for (skipSpace(cursor); cursor.at < text.length; skipSpace(cursor)) terms.push(scanTerm(cursor));
  return terms;
}

function scanTerm(cursor: Cursor): ScannedTerm {
  const start = cursor.at;
  const isNot = take(cursor, "-");
  const name = scanName(cursor, start);
  const comparison = scanComparison(cursor);
  const values = [scanValue(cursor)];
  while (take(cursor, ",")) values.push(scanValue(cursor));
  return { isNot, name, comparison, values, at: start + 1 };
}

/** Up to the colon. A part in quotes may have any character: `payload."a.b":1`. */
function scanName(cursor: Cursor, start: number): string[] {
  const parts: string[] = [];
  let part = "";
  for (;;) {
    const one = cursor.text.charAt(cursor.at);
    if (one === "" || SPACE.test(one)) throw noColon(cursor, start);
    if (one === '"') {
      part += scanQuoted(cursor);
      continue;
    }
    cursor.at += 1;
    if (one !== ":" && one !== ".") {
      part += one;
      continue;
    }
    parts.push(part);
    part = "";
    if (one === ":") return parts;
  }
}

function noColon(cursor: Cursor, start: number): FilterFault {
  const word = cursor.text.slice(start, cursor.at);
  const example = word.replace(/^-/, "").replaceAll('"', "");
  return new FilterFault(
    `expected name:value; to look for a text in the error, write err:"${example}"`,
    start + 1,
    word,
  );
}

function scanComparison(cursor: Cursor): string {
  const [comparison = ""] = /^[<>]=?/.exec(cursor.text.slice(cursor.at, cursor.at + 2)) ?? [];
  cursor.at += comparison.length;
  return comparison;
}

function scanValue(cursor: Cursor): ScannedValue {
  const at = cursor.at + 1;
  if (cursor.text.charAt(cursor.at) === '"') {
    const text = scanQuoted(cursor);
    const next = cursor.text.charAt(cursor.at);
    if (next === "" || next === "," || SPACE.test(next)) return { text, isQuoted: true, at };
    throw new FilterFault(
      "expected a space or a comma after the closing quote",
      cursor.at + 1,
      next,
    );
  }
  const start = cursor.at;
  while (cursor.at < cursor.text.length && !/[\s,]/.test(cursor.text.charAt(cursor.at)))
    cursor.at += 1;
  const text = cursor.text.slice(start, cursor.at);
  if (text !== "") return { text, isQuoted: false, at };
  throw new FilterFault('expected a value; an empty text is ""', at, cursor.text.charAt(start));
}

/** `\"` is a quote and `\\` a backslash. */
function scanQuoted(cursor: Cursor): string {
  const start = cursor.at;
  let text = "";
  for (cursor.at += 1; cursor.at < cursor.text.length; cursor.at += 1) {
    const one = cursor.text.charAt(cursor.at);
    if (one === '"') {
      cursor.at += 1;
      return text;
    }
    if (one === "\\") cursor.at += 1;
    text += cursor.text.charAt(cursor.at);
  }
  throw new FilterFault("the closing quote is missing", start + 1, cursor.text.slice(start));
}

function take(cursor: Cursor, one: string): boolean {
  if (cursor.text.charAt(cursor.at) !== one) return false;
  cursor.at += 1;
  return true;
}

function skipSpace(cursor: Cursor): void {
  while (cursor.at < cursor.text.length && SPACE.test(cursor.text.charAt(cursor.at)))
    cursor.at += 1;
}
