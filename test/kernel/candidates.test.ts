import { expect, test, vi } from "vitest";
import { Candidates } from "../../src/kernel/candidates.ts";

const row = (shard_id: number, priority: number) => ({
  shard_id,
  stream_id: shard_id,
  priority,
  solo: false,
  is_ready: true,
  is_limited: false,
  is_watched: false,
});
const HELD = 1;
const FREE = 2;

test("R113: a shard that somebody holds lets the others through, however slow the worker's own steps are", () => {
  let now = 0;
  vi.spyOn(performance, "now").mockImplementation(() => now);
  const candidates = new Candidates();
  const claimed: number[] = [];
  for (let turn = 1; turn <= 20; turn += 1) {
    now += 5_000; // a look and a turn of a machine that is busy
    candidates.replace([row(HELD, 0), row(FREE, 1)], () => 0);
    const { shards } = candidates.next(1, 1, true, () => 1);
    const isHeld = shards.some((one) => one.shard === HELD);
    if (isHeld) candidates.missed(shards.map((one) => one.shard));
    else claimed.push(turn);
  }
  expect(claimed).toEqual([4, 6, 8, 10, 12, 14, 16, 18, 20]);
});
