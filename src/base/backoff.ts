/** Backoff for Pawl's own reconnects and polls (a task's retries have a policy of their own). Pure. */

/**
 * Exponential with full jitter in the upper half: 1st failure 0.5 to 1 × base, 2nd 1 to 2 × base, … up to max.
 * @param luck 0 to 1
 */
export function backoffMs(
  failures: number,
  { baseMs, maxMs }: { baseMs: number; maxMs: number },
  luck: number = Math.random(),
): number {
  const ceiling = Math.min(baseMs * 2 ** (Math.max(failures, 1) - 1), maxMs);
  return Math.round(ceiling * (0.5 + luck / 2));
}
