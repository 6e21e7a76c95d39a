/** A worker process for tests of the gate: jobs that only take time, in queues with and without limits. */

import { setTimeout as pause } from "node:timers/promises";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { type App, defineApp, defineJob } from "../../src/index.ts";
import { asWorker } from "./as-worker.ts";

const time: StandardSchemaV1<Time> = {
  "~standard": { version: 1, vendor: "test", validate: (value) => ({ value: value as Time }) },
};
interface Time {
  ms: number;
  /** Its limit key, in the queues that have limits per key. */
  tenant?: string;
}

/** One in ten fails the first time. */
const job = (queue: string) =>
  defineJob({
    name: queue,
    queue,
    input: time,
    limitKey: ({ tenant }) => tenant,
    retry: { attempts: 5, delay: "5ms", jitter: 0 }, // a killed worker may cost it some
    run: async ({ ms }, { attempt }) => {
      await pause(ms);
      if (attempt === 1 && ms % 10 === 0) throw new Error("not yet");
    },
  });

export const alphaJob = job("alpha");
export const betaJob = job("beta");
export const seatsJob = job("seats");
export const pacedJob = job("paced");
export const bothJob = job("both");

export const tenantsJob = job("tenants");
export const pacedTenantsJob = job("paced-tenants");

export const crowdedJob = job("crowded");
export const pacedCrowdJob = job("paced-crowd");

export const SEATS = 7;
export const TENANT_SEATS = 2;
export const CROWD_SEATS = 1;
/** A burst of two: a start that is late is made up for. */
export const CROWD_RATE = { limit: 1, per: "1s", burst: 2 } as const;
export const RATE = { limit: 50, per: "1s", burst: 5 } as const;

export const gateApp: App = defineApp({
  queues: {
    alpha: {},
    beta: {},
    seats: { concurrency: SEATS },
    paced: { rate: RATE },
    both: { concurrency: SEATS, rate: RATE },
    tenants: { keyConcurrency: TENANT_SEATS },
    "paced-tenants": { keyRate: RATE },
    crowded: { keyConcurrency: CROWD_SEATS },
    "paced-crowd": { keyRate: CROWD_RATE },
  },
  jobs: [
    alphaJob,
    betaJob,
    seatsJob,
    pacedJob,
    bothJob,
    tenantsJob,
    pacedTenantsJob,
    crowdedJob,
    pacedCrowdJob,
  ],
});

/**
 * The oracle: when each attempt was claimed and when it ended, by the clock at the moment of the write. No claim is
 * committed before its `at`, and no end is committed before its.
 */
export const GATE_LOG = [
  "create table claimed (no bigserial, queue text, worker_id int, seq bigint, at timestamptz, claimed_at timestamptz)",
  "create table ended (seq bigint, at timestamptz)",
  `create function note_claim() returns trigger language plpgsql set search_path from current as $$ begin
     insert into claimed (queue, worker_id, seq, at, claimed_at) select q.name, new.worker_id, u.seq, clock_timestamp(), new.claimed_at
       from pawl.queue q cross join lateral unnest(new.seqs) u (seq) where q.id = new.queue_id;
     return null; end $$`,
  `create function note_end() returns trigger language plpgsql set search_path from current as $$ begin
     insert into ended values (new.seq, clock_timestamp()); return null; end $$`,
  "create trigger note_claim after insert on pawl.claim for each row execute function note_claim()",
  "create trigger note_end after insert on pawl.finished for each row execute function note_end()",
  "create trigger note_end after insert on pawl.attempt for each row execute function note_end()",
  "create index on claimed (at)",
];

await asWorker(gateApp, () => undefined);
