/**
 * A place among the ready, as far as the kernel promises it. `major` grows with every act that makes tasks ready; within
 * an act `minor` tells the order, null where the kernel is free.
 */

export interface Rank {
  readonly major: number;
  readonly minor: number | null;
}

export function isBefore(a: Rank, b: Rank): boolean {
  if (a.major !== b.major) return a.major < b.major;
  return a.minor !== null && b.minor !== null && a.minor < b.minor;
}

/** Whether `taken`, in this order, can be the first of all of these. */
export function areFirst(taken: readonly Rank[], left: readonly Rank[]): boolean {
  const isOrdered = taken.every((rank, n) => taken.slice(n + 1).every((x) => !isBefore(x, rank)));
  return isOrdered && taken.every((rank) => left.every((other) => !isBefore(other, rank)));
}
