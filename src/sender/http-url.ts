/** An http or https URL that an app or an operator names: whole, and without credentials, which would be kept and shown. */

import { PawlError, shown } from "../base/errors.ts";
import { HIDDEN, isMasked, maskBadUrl, maskUrl } from "../base/mask.ts";

export interface UrlPlace {
  /** For messages: `webhook destination`. */
  where: string;
  /** What to do with credentials instead. */
  credentials: string;
  /** How the URL is shown; default masked. */
  shownAs?: string;
  charsMax?: number;
}

/** @throws PawlError `invalid_url`; the value is shown without credentials and query */
export function httpUrl(text: unknown, place: UrlPlace): URL {
  const refused = (problem: string, remedy: string) => {
    const url = place.shownAs ?? shownUrl(text);
    const message = `${place.where}: \`url\` ${url} ${problem}; ${remedy}`;
    return new PawlError("invalid_url", message, { data: { option: "url", url } });
  };
  const url = typeof text === "string" && URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined)
    throw refused("is not a URL", 'write it whole, such as "https://erp.example/hooks"');
  if (isMasked(String(text)))
    throw refused(`holds ${HIDDEN}, which stands for what is hidden`, "write it in full");
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw refused(`has the protocol ${url.protocol}`, "use https: or http:");
  if (url.username !== "" || url.password !== "")
    throw refused("holds credentials", place.credentials);
  const { charsMax = Number.POSITIVE_INFINITY } = place;
  if (url.href.length > charsMax)
    throw refused(`is longer than ${charsMax} characters`, "send what it holds in the body");
  return url;
}

function shownUrl(text: unknown): string {
  if (typeof text !== "string") return `(of type ${typeof text})`;
  return URL.canParse(text) ? maskUrl(text) : shown(maskBadUrl(text));
}
