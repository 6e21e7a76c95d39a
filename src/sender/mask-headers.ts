/** Headers as they may be kept and shown: what lets somebody in is masked, what is long or many is cut. */

import { HIDDEN, isSecretName, MASK, maskText, maskUrl } from "../base/mask.ts";
import { excerpt } from "./excerpt.ts";

const HEADERS_MAX = 50;
const NAME_CHARS_MAX = 100;
const VALUE_CHARS_MAX = 500;
const URL_NAME = /^(?:location|content-location|referer|origin)$/i;
/** Its first segment, the rest of its path, and its query or fragment. */
const RELATIVE_URL = /^(\/*[\w.~-]*)([^?#]*)([?#]?)/s;

/** The first 50 headers, each value to 500 characters; `…` then says how many more there were. */
export function maskHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(headers);
  const kept = entries
    .slice(0, HEADERS_MAX)
    .map(([name, value]) => [excerpt(maskText(name), NAME_CHARS_MAX), masked(name, value)]);
  const more = entries.length - HEADERS_MAX;
  return Object.fromEntries(more > 0 ? [...kept, ["…", `${more} more`]] : kept) as Record<
    string,
    string
  >;
}

function masked(name: string, value: string): string {
  if (isSecretName(name)) return MASK;
  if (!URL_NAME.test(name)) return excerpt(maskText(value), VALUE_CHARS_MAX);
  return excerpt(URL.canParse(value) ? maskUrl(value) : maskedPath(value), VALUE_CHARS_MAX);
}

/** A redirect often carries a code in its query. */
function maskedPath(value: string): string {
  const [, first = "", more = "", query = ""] = RELATIVE_URL.exec(value) ?? [];
  const rest = more === "" || more === "/" ? more : `${more.startsWith("/") ? "/" : ""}${HIDDEN}`;
  return first + rest + (query === "" ? "" : query + HIDDEN);
}
