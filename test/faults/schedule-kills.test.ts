import { expect, test } from "vitest";
import { movableClock } from "../support/clock.ts";
import { fleet } from "../support/fleet.ts";
import { LONG_LEASE } from "../support/kernel.ts";
import { random } from "../support/random.ts";
import { SCHEDULES, scheduleApp } from "../support/schedule-child.ts";
import { size } from "../support/size.ts";
import { until } from "../support/until.ts";

const KILLS = size(3, 20);

/** A firing takes long enough that a worker dies in the middle of one. */
const SLOW_FIRING = [
  `create function slow_firing() returns trigger language plpgsql as 'begin perform pg_sleep(0.1); return null; end'`,
  "create trigger slow_firing after insert on pawl.schedule_run execute function slow_firing()",
];

interface Fired {
  name: string;
  /** How many tasks say that they are of one of its due times, and how many due times that are. */
  tasks: number;
  dues: number;
  /** Of each second from the first due time to the last one. */
  seconds: number;
}

const FIRED = `
  with tasks as (
    select t.meta -> 'schedule' as due from pawl.task t union all select f.meta -> 'schedule' from pawl.finished f
  )
  select due ->> 'name' as name, count(*)::int as tasks, count(distinct due ->> 'dueAt')::int as dues,
         (extract(epoch from max((due ->> 'dueAt')::timestamptz) - min((due ->> 'dueAt')::timestamptz)) + 1)::int as seconds
    from tasks group by 1 order by 1`;

test("R66: while workers are killed and the clock goes ahead and back, each due time starts one task over the fleet, and none is lost", async () => {
  const chance = random();
  const workers = await fleet({
    app: scheduleApp,
    child: "schedule-child.ts",
    setUp: [...SLOW_FIRING, LONG_LEASE],
  });
  const { store } = workers.pawl;
  const clock = await movableClock(store);
  const fired = () => store.rows<Fired>(FIRED);
  const reached = async (more: number) => {
    const before = (await fired())[0]?.dues ?? 0;
    await until("more due times have been fired", async () => {
      const rows = await fired();
      return rows.length === SCHEDULES && rows.every(({ dues }) => dues >= before + more);
    });
  };
  try {
    await Promise.all([workers.start(), workers.start()]);
    await reached(2);
    for (let n = 0; n < KILLS; n += 1) {
      await clock.advance(chance.whole(0, 1) === 0 ? 5_000 : -3_000);
      const victim = workers.live[chance.whole(0, workers.live.length - 1)] ?? 0;
      await workers.kill(victim);
      await workers.bury(victim);
      await workers.start();
      await clock.advance(5_000);
      await reached(2);
    }
    await Promise.all(workers.live.map((pid) => workers.drained(pid)));
    const rows = await fired();
    console.log(`seed ${chance.seed}: ${rows[0]?.dues} due times of ${rows.length} schedules`);
    expect(rows).toHaveLength(SCHEDULES);
    for (const { tasks, dues, seconds } of rows) expect([tasks, dues]).toEqual([seconds, seconds]);
  } finally {
    await workers.stop();
  }
}, 900_000);
