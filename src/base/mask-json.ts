/**
 * JSON as it may be shown: the strings in it masked, everything else as it is written, so that numbers keep their digits
 * and what holds nothing to hide is the same text.
 */

import { exactRow, RawJson, stringSpans } from "./json-text.ts";
import { HIDDEN, isSecretName, MASK, maskText, maskUrl } from "./mask.ts";

/** Members whose values are credentials, wherever they stand, written in any way: `apiKey`, `api_key`, `API-Key`. */
const CREDENTIALS = new Set([
  "accesstoken",
  "apikey",
  "authorization",
  "clientsecret",
  "cookie",
  "idtoken",
  "passwd",
  "password",
  "privatekey",
  "proxyauthorization",
  "refreshtoken",
  "setcookie",
  "xapikey",
]);
/** What is in such an object is judged as a header is. */
const HEADERS = /headers?$/i;
/** Such a value is a URL as a whole, with whatever white space is in it. */
const URL_NAME = /ur[il]$|href$|link$|endpoint$|webhook$|callback$/i;
/** References, and what is masked already. */
const NO_SECRET = /^(?:env:\w+|file:\S+|stored|\*\*\*)$/;

/** Each URL and JWT in the text of a JSON masked. Never throws: what is no JSON is masked as far as it is like it. */
export function maskJson(json: string): string {
  return withStrings(json, (string) => maskedString(string));
}

/** The same, and the values of members whose names say that they are credentials: for what an app has written. */
export function maskContent(json: string): string {
  const around = new Members();
  return withStrings(json, (string, before, end) => {
    around.pass(before);
    const isName = /^\s*:/.test(json.slice(end, end + 16));
    if (isName) around.name = textOf(string) ?? "";
    const isHidden = !isName && around.isSecret && !NO_SECRET.test(string.slice(1, -1));
    const isUrl = !isName && URL_NAME.test(around.name);
    return isHidden ? JSON.stringify(MASK) : maskedString(string, isUrl);
  });
}

/** The JSON with another text for each of its strings; `before` stands between it and the string before, and it ends at `end`. */
function withStrings(
  json: string,
  replaced: (string: string, before: string, end: number) => string,
): string {
  const parts: string[] = [];
  let done = 0;
  for (const { start, end } of stringSpans(json)) {
    const before = json.slice(done, start);
    parts.push(before, replaced(json.slice(start, end), before, end));
    done = end;
  }
  return done === 0 ? json : parts.join("") + json.slice(done);
}

/** A row for people as `exactRow` makes it, with what an app has written masked. */
export function shownRow(row: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(exactRow(row)).map(([name, value]) => [name, shownValue(value)]),
  );
}

/** The text of a JSON masked; of other objects what JSON makes of them, a time is left as it is. */
export function shownValue(value: unknown): unknown {
  if (value instanceof RawJson) return new RawJson(maskContent(value.text));
  if (typeof value !== "object" || value === null || value instanceof Date) return value;
  return JSON.parse(maskContent(JSON.stringify(value)));
}

/** Where in the objects a string stands, as far as brackets and names tell. */
class Members {
  name = "";
  readonly #outer: { name: string; isHeaders: boolean }[] = [];
  #isHeaders = false;

  get isSecret(): boolean {
    if (CREDENTIALS.has(this.name.toLowerCase().replace(/[_-]/g, ""))) return true;
    return this.#isHeaders && isSecretName(this.name);
  }

  /** Brackets between two strings. */
  pass(between: string): void {
    for (const [bracket] of between.matchAll(/[[\]{}]/g)) {
      if (bracket === "{") {
        this.#outer.push({ name: this.name, isHeaders: this.#isHeaders });
        this.#isHeaders = HEADERS.test(this.name);
        this.name = "";
      } else if (bracket === "}") {
        const outer = this.#outer.pop();
        this.name = outer?.name ?? "";
        this.#isHeaders = outer?.isHeaders ?? false;
      }
    }
  }
}

function maskedString(string: string, isUrl = false): string {
  if (!isUrl && !string.includes("\\")) return maskText(string);
  const text = textOf(string);
  if (text === undefined) return maskText(string);
  const whole = isUrl && URL.canParse(text) ? maskUrl(text) : "";
  const masked = whole.includes(HIDDEN) ? whole : maskText(text);
  return masked === text ? string : JSON.stringify(masked);
}

function textOf(string: string): string | undefined {
  try {
    return JSON.parse(string) as string;
  } catch {
    return undefined;
  }
}
