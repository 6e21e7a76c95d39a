/** How long this machine stood still while something was measured: a bound on a time holds beside that. */

import { atEnd } from "./at-end.ts";

const LOOK_MS = 20;

/** Answers the sum of the stalls since the call, in ms. */
export function stalls(): () => number {
  let totalMs = 0;
  let dueAt = performance.now() + LOOK_MS;
  const look = () => {
    const now = performance.now();
    totalMs += Math.max(now - dueAt, 0);
    dueAt = now + LOOK_MS;
    return totalMs;
  };
  const timer = setInterval(look, LOOK_MS).unref();
  atEnd(() => clearInterval(timer));
  return look;
}
