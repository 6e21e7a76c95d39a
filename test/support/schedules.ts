/** Schedules of a test on a database of its own whose clock moves; the test itself is the scheduler. */

import { silentLogger } from "../../src/base/log.ts";
import { type App, type AppOptions, connect, defineApp, type Pawl } from "../../src/index.ts";
import { fireDue } from "../../src/schedule/scheduler.ts";
import type { Fired } from "../../src/schedule/sql.ts";
import { openStore, type Store } from "../../src/store/store.ts";
import { atEnd } from "./at-end.ts";
import { freshDatabase } from "./database.ts";
import { present } from "./present.ts";

export interface ScheduleBench {
  url: string;
  store: Store;
  /** Registers what the app defines, without a worker. */
  app(options: AppOptions): Promise<Pawl>;
  /** The clock stands still at this time. */
  at(time: string): Promise<void>;
  /** Fires what is due, until nothing is. */
  fire(): Promise<Fired[]>;
}

/** The clock stands still, so that no machine is too slow. */
export async function scheduleBench(time: string): Promise<ScheduleBench> {
  const { url } = await freshDatabase();
  const store = openStore({ url });
  atEnd(() => store.close());
  await store.rows("create table pawl.test_time (at timestamptz not null)");
  await store.rows("insert into pawl.test_time values ($1)", [time]);
  for (const name of ["now", "clock_now"])
    await store.rows(
      `create or replace function pawl.${name}() returns timestamptz language sql stable as $$ select at from pawl.test_time $$`,
    );
  return {
    url,
    store,
    app: async (options) => {
      const app: App = defineApp({ name: "shop", ...options });
      const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
      atEnd(() => pawl.close());
      return pawl;
    },
    at: async (moved) => {
      await store.rows("update pawl.test_time set at = $1", [moved]);
    },
    fire: async () => {
      const fired: Fired[] = [];
      for (;;) {
        const round = await fireDue(store);
        fired.push(...round.fired);
        if (!round.isMore) return fired;
      }
    },
  };
}

/** The due times that were started, in order. */
export async function startedOf({ store }: ScheduleBench, name: string): Promise<string[]> {
  const rows = await store.rows<{ due_at: Date }>(
    `select r.due_at from pawl.schedule_run r join pawl.schedule s on s.id = r.schedule_id
      where s.name = $1 and r.outcome in ('started', 'duplicate') order by r.due_at`,
    [name],
  );
  return rows.map((row) => row.due_at.toISOString());
}

export async function nextOf(pawl: Pawl, name: string): Promise<string | undefined> {
  const { schedule } = await present(pawl.schedules.show(name));
  return schedule.nextAt?.toISOString();
}
