/**
 * What may be shown of a text: of each URL in it the scheme, the host and the first segment of the path, of each JWT
 * nothing. `…` stands for what is hidden. Masking twice changes nothing more; each pass takes linear time.
 */

export const HIDDEN = "…";
/** How a value that must not be seen is shown in reads. */
export const MASK = "***";

/** Also as JSON writes it (`https:\/\/`) and as a query does (`https%3A%2F%2F`). */
const SLASH = String.raw`(?:\\{0,8}\/|%2f)`;
const START = new RegExp(
  String.raw`(?<=[a-z0-9+.-])(?::|%3a)${SLASH}{2}|(?<=https?|wss?):[\\/]{0,8}(?=[\w[])`,
  "gi",
);
/** Everything to the next white space or quotation mark may belong to the URL. */
const URL_END = /[\s"]/g;
/** Paths on this machine, as in the lines of a stack. */
const LOCAL = /(?:^|[^a-z0-9+.-])file$/i;
const HOST = /^(?:\[[0-9a-f:.%]*\]|[\p{L}\p{N}._%-]*)(?::\d{1,5}(?!\d))?/iu;
const SEGMENT = new RegExp(`^(${SLASH}+)([A-Za-z0-9._~-]*)`, "i");
const ONLY_SLASHES = new RegExp(`^${SLASH}*$`, "i");
const SAMPLE_USER = "user:password";
/** What ends a sentence or a bracket behind a URL is not of the URL. */
const TRAILING = new Set(".,;:!?)]}>'`*\\");
/** Of a relative URL. */
const QUERY = /([?&][\w.[\]%-]{1,64}=)[^\s"'&#<>]+/g;
const TOKEN_RUN = /[\w.-]{16,}/g;
const MASKED = new RegExp(`://\\S*${HIDDEN}|eyJ${HIDDEN}`);
/** The beginning of `{"` in base64url. */
const TOKEN_START = "eyJ";
const NAMES_A_SECRET = /auth|cookie|token|secret|signature|key|passw|credential|session|jwt/i;
/** Their names sound like secrets, their values are none. */
const HARMLESS = new Set(["idempotency-key", "www-authenticate", "proxy-authenticate"]);

/** `https://user:pw@host/first/second?token=abc` → `https://host/first/…?…`. What is no URL is not shown at all. */
export function maskUrl(url: string | URL): string {
  if (typeof url === "string") return URL.canParse(url) ? maskUrl(new URL(url)) : "(not a URL)";
  if (url.host === "") return `${url.protocol}(not shown)`;
  const start = `${url.protocol}//`;
  return maskTokens(start + maskedRest(url.href.slice(start.length)));
}

/** Of what should be a URL and is none: what stands before `@`, behind `?` and beyond a first segment is left out. */
export function maskBadUrl(text: string): string {
  const bare = maskText(text)
    .replace(/[?#].*$/s, "")
    .replace(/^.*@/s, "***@");
  return bare.includes("://")
    ? bare
    : bare.replace(/^(\/*[^/\\]*[/\\][\w.~-]*)(?![\w.~-]).+$/s, `$1/${HIDDEN}`);
}

/** The same text with each URL and each JWT in it masked. */
export function maskText(text: string): string {
  return maskTokens(maskUrls(text).replace(QUERY, `$1${HIDDEN}`));
}

/** Whether a text is one that was masked: it must not be stored in the place of what it stands for. */
export function isMasked(text: string): boolean {
  return MASKED.test(text);
}

/** As of a header or a member: authorization, x-api-key, cookie … */
export function isSecretName(name: string): boolean {
  return NAMES_A_SECRET.test(name) && !HARMLESS.has(name.toLowerCase());
}

function maskUrls(text: string): string {
  const parts: string[] = [];
  let shownTo = 0;
  START.lastIndex = 0;
  for (let found = START.exec(text); found !== null; found = START.exec(text)) {
    const start = START.lastIndex;
    if (LOCAL.test(text.slice(Math.max(found.index - 5, 0), found.index))) continue;
    URL_END.lastIndex = start;
    const end = URL_END.exec(text)?.index ?? text.length;
    START.lastIndex = end;
    const rest = text.slice(start, end);
    const bare = rest.slice(0, lengthWithoutTrailing(rest));
    parts.push(text.slice(shownTo, start), maskedRest(bare), rest.slice(bare.length));
    shownTo = end;
  }
  return shownTo === 0 ? text : parts.join("") + text.slice(shownTo);
}

/** Of what stands behind `https://`. */
function maskedRest(rest: string): string {
  const authority = rest.slice(0, endOf(rest, /[/\\?#]|%2f/i));
  const at = authority.lastIndexOf("@");
  const user = authority.slice(0, Math.max(at, 0));
  const behind = rest.slice(authority.length);
  // a password may hold `/` and `@` that were not escaped: then nobody can tell where the host begins
  const isUnclear = behind.includes("@") && (at >= 0 || /:(?!\d{1,5}$)/.test(authority));
  if (isUnclear) return HIDDEN;
  const host = HOST.exec(authority.slice(at + 1))?.[0] ?? "";
  const isWhole = host.length === authority.length - at - 1;
  const shownUser = user === SAMPLE_USER ? `${user}@` : "";
  return shownUser + host + (isWhole ? maskedPath(behind) : HIDDEN);
}

function maskedPath(path: string): string {
  const [first = "", , segment = ""] = SEGMENT.exec(path) ?? [];
  const more = path.slice(first.length);
  const query = endOf(more, /[?#]/);
  const inPath = more.slice(0, query);
  const isEnd = segment !== "" && ONLY_SLASHES.test(inPath);
  const shownPath = isEnd || inPath === "" ? inPath : SEGMENT.test(inPath) ? `/${HIDDEN}` : HIDDEN;
  return first + shownPath + (more.length > query + 1 ? more[query] + HIDDEN : more.slice(query));
}

function maskTokens(text: string): string {
  return text.includes(TOKEN_START) ? text.replace(TOKEN_RUN, maskedToken) : text;
}

/** Three parts with points between them, or the beginning of these. */
function maskedToken(run: string): string {
  let from = 0;
  for (let point = run.indexOf("."); point >= 0; point = run.indexOf(".", from)) {
    const start = run.slice(from, point).indexOf(TOKEN_START);
    const isToken =
      start >= 0 && point - from - start >= 8 && /^[\w-]{2}/.test(run.slice(point + 1, point + 3));
    if (isToken) return run.slice(0, from + start) + TOKEN_START + HIDDEN;
    from = point + 1;
  }
  return run;
}

function endOf(text: string, stop: RegExp): number {
  const at = text.search(stop);
  return at < 0 ? text.length : at;
}

function lengthWithoutTrailing(text: string): number {
  let length = text.length;
  while (length > 0 && TRAILING.has(text.charAt(length - 1))) length -= 1;
  return length;
}
