/** Waiting for a condition, with a bound: the one place where tests look again. */

const LOOK_MS = 10;

/**
 * Resolves with the first answer that is not false or undefined; rejects, saying what, after `timeoutMs`. The last look
 * begins after that time, so that a process which stood still sees what has come meanwhile.
 */
export async function until<T>(
  what: string,
  look: () => Promise<T | false | undefined> | T | false | undefined,
  timeoutMs = 300_000,
): Promise<T> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const isLast = performance.now() > end;
    const seen = await look();
    if (seen !== false && seen !== undefined) return seen;
    if (isLast) throw new Error(`not seen within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
