/** How late the heartbeats of a worker that lives come: what its process and the database stood still meanwhile. */

import type { Executor } from "../../src/store/executor.ts";

const BEAT_MS = 3_000;

export interface LateBeats {
  /** Notes its last heartbeat; to be called more often than they come. */
  look: () => Promise<void>;
  /** Answers the sum of the delays from then on, in ms, until a moment of the database's clock. */
  sumMs: (from: Date, to: Date) => number;
}

export function lateBeats(executor: Executor, worker: number): LateBeats {
  const beats: Date[] = [];
  return {
    look: async () => {
      const [row] = await executor.rows<{ at: Date }>(
        "select heartbeat_at as at from pawl.worker where id = $1",
        [worker],
      );
      if (row !== undefined && Number(row.at) !== Number(beats.at(-1))) beats.push(row.at);
    },
    sumMs: (from, to) => {
      const within = beats.filter((at) => at > from && at < to);
      return [...within, to].reduce(
        ({ last, sum }, at) => ({
          last: at,
          sum: sum + Math.max(Number(at) - Number(last) - BEAT_MS, 0),
        }),
        { last: from, sum: 0 },
      ).sum;
    },
  };
}
