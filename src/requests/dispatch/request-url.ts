/** The URL of a request. Credentials in it are refused: a request is kept, and shown to people. */

import { PawlError, shown } from "../../base/errors.ts";
import { maskUrl } from "../mask-url.ts";

const CHARS_MAX = 8_000;

/** Without the fragment, which is never sent. @throws PawlError `invalid_url`; the value is shown without credentials and query */
export function requestUrl(text: unknown): URL {
  const url = typeof text === "string" && URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined)
    throw badUrl(text, 'is not a URL; write it whole: "https://crm.example/…"');
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw badUrl(text, `has the protocol ${url.protocol}; use https: or http:`);
  }
  if (url.username !== "" || url.password !== "") {
    throw badUrl(text, "holds credentials, which would be kept with the request; leave them out");
  }
  if (url.href.length > CHARS_MAX) throw badUrl(text, `is longer than ${CHARS_MAX} characters`);
  url.hash = "";
  return url;
}

function badUrl(value: unknown, problem: string): PawlError {
  const isText = typeof value === "string";
  const masked = isText && URL.canParse(value) ? maskUrl(value) : undefined;
  const url = masked ?? (isText ? shown(withoutSecrets(value)) : `(of type ${typeof value})`);
  return new PawlError("invalid_url", `send: \`url\` ${url} ${problem}`, {
    data: { option: "url", url },
  });
}

/** What cannot be parsed cannot be masked part by part. */
function withoutSecrets(text: string): string {
  return text.replace(/[?#].*$/s, "").replace(/^.*@/s, "***@");
}
