/** The `Retry-After` header of an answer (RFC 9110, sections 10.2.3 and 5.6.7) as a wait in milliseconds. */

/** A server may hold us back for a day at most. */
export const RETRY_AFTER_MS_MAX = 86_400_000;

const SECONDS = /^\d+$/;
const FIXDATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;
const RFC850 = /^[A-Z][a-z]{5,8}, (\d{2}-[A-Z][a-z]{2}-\d{2} \d{2}:\d{2}:\d{2} GMT)$/;
const ASCTIME = /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}$/;

/** `undefined` for a missing, malformed or past value. */
export function parseRetryAfter(
  value: string | undefined,
  nowMs: number = Date.now(),
): number | undefined {
  const text = value?.trim() ?? "";
  const waitMs = SECONDS.test(text) ? Number(text) * 1_000 : httpDateMs(text) - nowMs;
  return waitMs >= 0 ? Math.min(waitMs, RETRY_AFTER_MS_MAX) : undefined;
}

/** Returns NaN for text that is not an HTTP date: `Date.parse` alone accepts "-5" or "1.5". */
function httpDateMs(text: string): number {
  if (FIXDATE.test(text)) return Date.parse(text);
  if (ASCTIME.test(text)) return Date.parse(`${text} GMT`);
  const short = RFC850.exec(text)?.[1];
  return short === undefined ? Number.NaN : Date.parse(short.replaceAll("-", " "));
}
