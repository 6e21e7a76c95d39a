/** URLs for messages, logs and the catalogue: without credentials, fragment and the values of the query. */

const MASK = "***";

/** `https://user:pw@host/path?token=abc` → `https://host/path?token=***`. What is no URL is not shown at all. */
export function maskUrl(url: string | URL): string {
  if (typeof url === "string") return URL.canParse(url) ? maskUrl(new URL(url)) : "(not a URL)";
  if (url.host === "") return `${url.protocol}(not shown)`;
  const names = [...url.searchParams.keys()];
  const query = names.map((name) => `${encodeURIComponent(name)}=${MASK}`).join("&");
  const origin = url.origin === "null" ? `${url.protocol}//${url.host}` : url.origin;
  return `${origin}${url.pathname}${query === "" ? "" : `?${query}`}`;
}
