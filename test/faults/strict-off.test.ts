import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Pawl } from "../../src/index.ts";
import { queues, switches } from "../../src/kernel/operator/switches/sql.ts";
import { type Fleet, fleet } from "../support/fleet.ts";
import { alphaJob, betaJob, GATE_LOG, gateApp } from "../support/gate-child.ts";
import { LONG_LEASE, runningOf } from "../support/kernel.ts";
import { type Random, random } from "../support/random.ts";
import { size } from "../support/size.ts";
import { until } from "../support/until.ts";

const WORKERS = 8;
const ROUNDS = size(15, 100);
/** Of each kind, kept in stock: while this process stands still the workers may do all that there is. */
const STOCK = 1_000;
const PATIENCE_MS = 300_000;

const SET_UP = [
  ...GATE_LOG,
  "create table off_time (no serial, scope text, begins timestamptz, ends timestamptz)",
];

/** Whatever tells of an attempt's start while its queue was off. */
const STARTED_WHILE_OFF = `
  with start as (
    select queue, at, 'claim' as kept from claimed
    union all select queue, claimed_at, 'claimed_at' from claimed
    union all select c.queue, f.started_at, 'finished' from pawl.finished f join claimed c on c.seq = f.seq
    union all select c.queue, a.started_at, 'attempt' from pawl.attempt a join claimed c on c.seq = a.seq)
  select o.no, o.scope, s.kept, s.queue, s.at, o.begins, o.ends
    from off_time o join start s on (o.scope = 'all' or o.scope = 'queue:' || s.queue)
     and s.at > o.begins and s.at < o.ends`;

async function withBusyFleet(
  envs: readonly Record<string, string>[],
  work: (workers: Fleet) => Promise<void>,
): Promise<void> {
  const workers = await fleet({ app: gateApp, child: "gate-child.ts", setUp: SET_UP });
  await workers.pawl.store.rows(LONG_LEASE); // a worker that registered anew would be another one
  const chance = random();
  try {
    await fill(workers.pawl, chance);
    await Promise.all(envs.map((env) => workers.start(4, env)));
    await work(workers);
  } finally {
    await workers.stop();
  }
}

/** Enqueues more of what is short. */
async function fill(pawl: Pawl, { whole }: Random): Promise<void> {
  for (const job of [alphaJob, betaJob]) {
    const rows = await pawl.store.rows(
      "select from pawl.task where queue_id = (select id from pawl.queue where name = $1) limit 1 offset $2",
      [job.queue, STOCK],
    );
    if (rows.length > 0) continue;
    await pawl.enqueueMany(
      job,
      Array.from({ length: STOCK + 1 }, () => ({ ms: whole(30, 90) })),
    );
  }
}

async function number(pawl: Pawl, query: string, values: unknown[] = []): Promise<number> {
  const [row] = await pawl.store.rows<{ n: number }>(query, values);
  return row?.n ?? 0;
}

/** How many attempts have started so far. */
const starts = (pawl: Pawl) => number(pawl, "select last_value::int as n from claimed_no_seq");

const startedBy = (pawl: Pawl) =>
  number(pawl, "select count(distinct worker_id)::int as n from claimed");

async function moreStarts(pawl: Pawl, more: number, chance: Random): Promise<void> {
  const before = await starts(pawl);
  await untilBusy(pawl, chance, `${more} more attempts have started`, async () => {
    return (await starts(pawl)) >= before + more;
  });
}

/** Waits for what workers do as long as there is something to do. */
function untilBusy(
  pawl: Pawl,
  chance: Random,
  what: string,
  look: () => Promise<boolean>,
): Promise<unknown> {
  return until(
    what,
    async () => {
      await fill(pawl, chance);
      return look();
    },
    PATIENCE_MS,
  );
}

/** Off at any moment, until nothing runs any more or only for a moment, and on again; `round` says which of it. */
async function offAndOn(pawl: Pawl, round: number, chance: Random): Promise<void> {
  const { store } = pawl;
  const scope = round % 2 === 0 ? "all" : "queue:alpha";
  await moreStarts(pawl, chance.whole(1, 40), chance);
  await store.rows("select pawl.off_v1($1, $2, $3, null)", [scope, "ada", "a drill"]);
  const no = await number(
    pawl,
    "insert into off_time (scope, begins) values ($1, clock_timestamp()) returning no as n",
    [scope],
  );
  if (round % 5 < 3) {
    const isDrained = async () => (await runningOf(store, scope)) === 0;
    await until("what ran has ended", isDrained, PATIENCE_MS);
    if (scope !== "all") await moreStarts(pawl, 3, chance);
  }
  await store.rows("update off_time set ends = clock_timestamp() where no = $1", [no]);
  expect(await pawl.on(scope, { by: "ada" })).toBe(true);
}

test(
  "R103a: 8 busy workers, turned off again and again at any moment, all or one queue: once off has returned nothing of it starts until on",
  () =>
    withBusyFleet(
      Array.from({ length: WORKERS }, () => ({})),
      async ({ pawl }) => {
        const { store } = pawl;
        const chance = random();
        for (let round = 0; round < ROUNDS; round += 1) await offAndOn(pawl, round, chance);
        await moreStarts(pawl, 100, chance);
        await untilBusy(pawl, chance, "each worker has started some", async () => {
          return (await startedBy(pawl)) === WORKERS;
        });
        expect(await store.rows(STARTED_WHILE_OFF)).toEqual([]);
        const beside = await number(
          pawl,
          `select count(*)::int as n from off_time o join claimed c on c.at > o.begins and c.at < o.ends
          where o.scope = 'queue:alpha' and c.queue = 'beta'`,
        );
        expect(beside).toBeGreaterThan(ROUNDS / 10);
        expect(await startedBy(pawl)).toBe(WORKERS);
        const acts = await store.rows(
          "select action, by, why, count(*)::int from pawl.audit where action in ('switches.off', 'switches.on') group by 1, 2, 3 order by 1",
        );
        expect(acts).toEqual([
          { action: "switches.off", by: "ada", why: "a drill", count: ROUNDS },
          { action: "switches.on", by: "ada", why: null, count: ROUNDS },
        ]);
        console.log(
          `seed ${chance.seed}: ${await starts(pawl)} starts, ${beside} of beta while alpha was off`,
        );
      },
    ),
  900_000,
);

test("R103a: off until a time, with owner and reason: nothing starts before it, and all goes on by itself after it", () =>
  withBusyFleet([{}, {}], async ({ pawl }) => {
    const { store } = pawl;
    const chance = random();
    await moreStarts(pawl, 20, chance);
    await pawl.off("all", { until: "5s", by: "ada", why: "the disk is full" });
    // of the table: this process may stand still until the time has passed
    const [off] = await store.rows<{ until: Date }>("select off_by, why, until from pawl.switch");
    expect(off).toMatchObject({ off_by: "ada", why: "the disk is full" });
    await store.rows(
      "insert into off_time (scope, begins, ends) values ('all', clock_timestamp(), $1)",
      [off?.until],
    );
    const after = "select count(*)::int as n from claimed where at > $1";
    const startsAfter = () => number(pawl, after, [off?.until]);
    await untilBusy(pawl, chance, "attempts start again", async () => (await startsAfter()) > 20);
    expect(await switches(store)).toEqual([]);
    expect(await store.rows(STARTED_WHILE_OFF)).toEqual([]);
    expect(await pawl.on("all")).toBe(false); // it was on
  }));

test("R28: a file and PAWL_OFF hold what they name on their own host only, are reported there, and let go when they are gone", async () => {
  const locks = await mkdtemp(join(os.tmpdir(), "pawl-locks-"));
  try {
    await withBusyFleet(
      [{ PAWL_LOCKS_DIR: locks }, { PAWL_OFF: "queue:alpha" }, {}],
      async (workers) => {
        await hostSwitches(workers, locks);
      },
    );
  } finally {
    await rm(locks, { recursive: true, force: true });
  }
});

async function hostSwitches(workers: Fleet, locks: string): Promise<void> {
  const { pawl, live } = workers;
  const chance = random();
  const { store } = pawl;
  const [withFolder = 0, withVariable = 0, free = 0] = await Promise.all(
    live.map((pid) => workers.workerOf(pid)),
  );
  const offHere = async (worker: number) => {
    const [row] = await store.rows<{ off_here: string[] }>(
      "select off_here from pawl.worker where id = $1",
      [worker],
    );
    return row?.off_here.join() ?? "";
  };
  const startsOf = (worker: number, queue: string) =>
    number(pawl, "select count(*)::int as n from claimed where worker_id = $1 and queue = $2", [
      worker,
      queue,
    ]);
  const startsMore = async (worker: number, queue: string) => {
    const before = await startsOf(worker, queue);
    await untilBusy(pawl, chance, `worker ${worker} starts more of ${queue}`, async () => {
      return (await startsOf(worker, queue)) > before + 10;
    });
  };
  const drained = (worker: number, queue: string) =>
    until(`worker ${worker} runs nothing of ${queue}`, async () => {
      const running = await number(
        pawl,
        "select count(*)::int as n from pawl.claim c join pawl.queue q on q.id = c.queue_id where c.worker_id = $1 and q.name = $2",
        [worker, queue],
      );
      return running === 0;
    });
  expect(await offHere(withVariable)).toBe("queue:alpha");
  await startsMore(withVariable, "beta");

  await startsMore(withFolder, "alpha");
  await writeFile(join(locks, "all.disabled"), "");
  await until("the file is reported", async () => (await offHere(withFolder)) === "all");
  await drained(withFolder, "alpha");
  await drained(withFolder, "beta");
  const held = async () => [
    await startsOf(withFolder, "alpha"),
    await startsOf(withFolder, "beta"),
  ];
  let [alpha, beta] = await held();
  // what was claimed by a statement on its way when the file was read still counts; nothing after it
  await until("nothing of it starts any more, while the others go on", async () => {
    await startsMore(free, "alpha"); // which comes before beta as long as there is any
    await startsMore(withVariable, "beta");
    const before = [alpha, beta].join();
    [alpha, beta] = await held();
    return [alpha, beta].join() === before;
  });
  const shown = await queues(store);
  expect(shown.map((queue) => queue.offHere.length)).toEqual(shown.map(() => 1)); // "off on host X"

  await rename(join(locks, "all.disabled"), join(locks, "queue-alpha.disabled"));
  await startsMore(withFolder, "beta");
  expect(await startsOf(withFolder, "alpha")).toBe(alpha);
  await rm(join(locks, "queue-alpha.disabled"));
  await startsMore(withFolder, "alpha");
  await until("it is reported no more", async () => (await offHere(withFolder)) === "");
  expect(await startsOf(withVariable, "alpha")).toBe(0);
}
