/** Headers as they may be kept and shown: what lets somebody in is masked, what is long or many is cut. */

import { excerpt } from "./excerpt.ts";
import { maskUrl } from "./mask-url.ts";

const MASK = "***";
const HEADERS_MAX = 50;
const NAME_CHARS_MAX = 100;
const VALUE_CHARS_MAX = 500;
const SECRET_NAME = /auth|cookie|token|secret|signature|key|passw|credential|session|jwt/i;
/** Their names sound like secrets, their values are none. */
const HARMLESS = new Set(["idempotency-key", "www-authenticate", "proxy-authenticate"]);
const URL_NAME = /^(?:location|content-location|referer|origin)$/i;

/** The first 50 headers, each value to 500 characters; `…` then says how many more there were. */
export function maskHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(headers);
  const kept = entries
    .slice(0, HEADERS_MAX)
    .map(([name, value]) => [excerpt(name, NAME_CHARS_MAX), masked(name, value)]);
  const more = entries.length - HEADERS_MAX;
  return Object.fromEntries(more > 0 ? [...kept, ["…", `${more} more`]] : kept) as Record<
    string,
    string
  >;
}

function masked(name: string, value: string): string {
  if (SECRET_NAME.test(name) && !HARMLESS.has(name.toLowerCase())) return MASK;
  return excerpt(URL_NAME.test(name) ? maskedUrl(value) : value, VALUE_CHARS_MAX);
}

/** A redirect often carries a code in its query. */
function maskedUrl(value: string): string {
  if (URL.canParse(value)) return maskUrl(value);
  const path = value.replace(/[?#].*$/s, "");
  return path === value ? value : `${path}?${MASK}`;
}
