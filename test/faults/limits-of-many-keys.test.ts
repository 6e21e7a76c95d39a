import { expect, test } from "vitest";
import { type Fleet, fleet } from "../support/fleet.ts";
import {
  alphaJob,
  CROWD_RATE,
  CROWD_SEATS,
  crowdedJob,
  GATE_LOG,
  gateApp,
  pacedCrowdJob,
} from "../support/gate-child.ts";
import { LONG_LEASE } from "../support/kernel.ts";
import { size } from "../support/size.ts";
import { until } from "../support/until.ts";

const WORKERS = 4;
const KEYS = 1_000;
const SEATED_EACH = 3;
const PACED_EACH = size(5, 8);
const RUN_MS = size(1_201, 2_501);
const GAP_MS = 1_000;
const PATIENCE_MS = 300_000;
/** In its full size on a machine that does nothing else; a busy one starts its tasks late, whatever the limits are. */
const USED_MIN = size(0.25, 0.95);
const IS_BUSY = size(1, 0) === 1;

/** Of one key: its tasks in the order of their claims, in milliseconds. */
interface Key {
  queue: string;
  /** By the clock at the moment of the write. */
  at: number[];
  ended: number[];
  /** As history says, which is what a rate goes by. */
  started: number[];
}

const OF_KEYS = `
  select c.queue, array_agg(ms(c.at) order by c.at) as at, array_agg(ms(e.at) order by c.at) as ended,
         array_agg(ms(f.started_at) order by c.at) as started
    from claimed c join ended e on e.seq = c.seq join pawl.finished f on f.seq = c.seq
   group by c.queue, f.payload ->> 'tenant'`;

/** How long this machine takes now for as many tasks that nothing limits. */
async function unlimitedMs({ pawl }: Fleet): Promise<number> {
  const { store } = pawl;
  const tasks = Array.from({ length: KEYS * (SEATED_EACH + PACED_EACH) }, () => ({ ms: 1 }));
  await pawl.enqueueMany(alphaJob, tasks);
  const ended = async () => (await store.rows("select from pawl.task limit 1")).length === 0;
  await until("those without limits have ended", ended, PATIENCE_MS);
  const [row] = await store.rows<{ ms: number }>(
    "select ms(max(e.at)) - ms(min(c.at)) as ms from claimed c join ended e on e.seq = c.seq",
  );
  return row?.ms ?? 0;
}

const mean = (values: readonly number[]) =>
  values.reduce((sum, one) => sum + one, 0) / values.length;
const span = (values: readonly number[]) => (values.at(-1) ?? 0) - (values[0] ?? 0);

test("R71: of 1,000 keys at once none goes over its limit on 4 processes, and what the limits allow is used", async () => {
  const setUp = [
    ...GATE_LOG,
    LONG_LEASE,
    "create function ms(timestamptz) returns float8 language sql as 'select (extract(epoch from $1) * 1000)::float8'",
  ];
  const workers = await fleet({ app: gateApp, child: "gate-child.ts", setUp });
  const { pawl } = workers;
  const inputs = (each: number, ms: number) =>
    Array.from({ length: KEYS * each }, (_, n) => ({ ms, tenant: `tenant ${n % KEYS}` }));
  try {
    await Promise.all(Array.from({ length: WORKERS }, () => workers.start(KEYS / 2)));
    const slowMs = IS_BUSY ? await unlimitedMs(workers) : 0;
    /** The part of what a limit allows, beside what the machine takes for the tasks as such. */
    const used = (allowedMs: number, takenMs: number) =>
      allowedMs / Math.max(takenMs - slowMs, allowedMs);
    await pawl.enqueueMany(crowdedJob, inputs(SEATED_EACH, RUN_MS));
    await pawl.enqueueMany(pacedCrowdJob, inputs(PACED_EACH, 1));
    const all = async () => (await pawl.store.rows("select from pawl.task limit 1")).length === 0;
    await until("all have ended", all, PATIENCE_MS);
    const keys = await pawl.store.rows<Key>(OF_KEYS);
    const [seated, paced] = ["crowded", "paced-crowd"].map((queue) =>
      keys.filter((key) => key.queue === queue),
    ) as [Key[], Key[]];
    expect([seated.length, paced.length]).toEqual([KEYS, KEYS]);
    // one place each: the next claim is written after the end of the one before
    expect(CROWD_SEATS).toBe(1);
    const beside = seated.filter(({ at, ended }) =>
      at.some((from, n) => from < (ended[n - 1] ?? 0)),
    );
    expect(beside).toEqual([]);
    const tooFast = paced.filter(({ started }) =>
      started.some((from, n) =>
        started
          .slice(n + CROWD_RATE.burst)
          .some((to, more) => to - from < (more + 1) * GAP_MS - 0.01),
      ),
    );
    expect(tooFast).toEqual([]);
    const seatsUsed = mean(
      seated.map(({ at, ended }) => used(RUN_MS * SEATED_EACH, (ended.at(-1) ?? 0) - (at[0] ?? 0))),
    );
    const rateUsed = mean(
      paced.map(({ started }) => used((PACED_EACH - CROWD_RATE.burst) * GAP_MS, span(started))),
    );
    console.log(
      `of ${KEYS} keys: places ${seatsUsed.toFixed(3)} used, rate ${rateUsed.toFixed(3)}, beside ${Math.round(slowMs)} ms`,
    );
    expect(Math.min(seatsUsed, rateUsed)).toBeGreaterThan(USED_MIN);
  } finally {
    await workers.stop();
  }
}, 900_000);
