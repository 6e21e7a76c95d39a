/** How long a database lets one wait beside what is asked of it: its own stalls, this process's, and a machine that is busy. */

import type { Executor } from "../../src/store/executor.ts";
import { atEnd } from "./at-end.ts";

const PAUSE_MS = 20;
/** Of a timer and a statement where nothing is slow. */
const USUAL_MS = 5;

/** Answers the sum of the delays since the call, in ms. It asks again and again until the end of the test. */
export function slowness(executor: Executor): () => number {
  let totalMs = 0;
  let isOver = false;
  let askedAt = performance.now();
  const lateMs = () => Math.max(performance.now() - askedAt - PAUSE_MS - USUAL_MS, 0);
  const asking = (async () => {
    while (!isOver) {
      askedAt = performance.now();
      await executor.rows("select 1");
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      totalMs += lateMs();
    }
  })();
  asking.catch(() => undefined); // the database may be gone before its test is
  atEnd(async () => {
    isOver = true;
    await asking.catch(() => undefined);
  });
  return () => totalMs + lateMs();
}
