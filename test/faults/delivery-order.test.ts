import { expect, test } from "vitest";
import type { Pawl, QueryTransaction, RecordOptions } from "../../src/index.ts";
import { rawClient } from "../support/database.ts";
import { deliveryApp, RECEIVER } from "../support/delivery-child.ts";
import { faultyReceiver, inversions, type Receiver } from "../support/delivery-receiver.ts";
import { type Fleet, fleet } from "../support/fleet.ts";
import { count, LONG_LEASE } from "../support/kernel.ts";
import { type Random, random } from "../support/random.ts";
import { size } from "../support/size.ts";
import { until } from "../support/until.ts";

const EVENTS = size(900, 5_000);
const AGGREGATES = 50;
const WORKERS = 8;
const CONCURRENCY = 8;
const KILLS = size(3, 6);
const PRODUCERS = 3;
/** The workers deliver so many in a moment. */
const SHORT = 100;
const PATIENCE_MS = 400_000;

/** What an event is about is a row, which counts its events: who records locks it first. */
const SET_UP = [
  LONG_LEASE, // a process that stands still is none of those that were killed
  "create table account (id int primary key, places int not null default 0)",
  `insert into account select g from generate_series(1, ${AGGREGATES}) g`,
];

interface Account {
  id: number;
  /** Of its last event. */
  places: number;
}

interface Run {
  readonly workers: Fleet;
  readonly pawl: Pawl;
  readonly receiver: Receiver;
  /** Ids of the events whose transactions committed. */
  readonly committed: string[];
  /** All kills are done: until then there has to be something to deliver. */
  isKilled: boolean;
}

async function lock(tx: QueryTransaction, ids: readonly number[]): Promise<Account[]> {
  const { rows } = (await tx.query(
    "select id, places from account where id = any ($1) order by id for update",
    [ids],
  )) as { rows: Account[] };
  return rows;
}

/** Business transactions about one to three accounts, which they lock; one in ten rolls back. */
async function produce(run: Run, { next, whole }: Random): Promise<void> {
  const { pawl, committed } = run;
  const client = await rawClient(pawl.store.url);
  while (committed.length < EVENTS || !run.isKilled) {
    if (committed.length >= EVENTS)
      await until(
        "little is left to deliver",
        async () => run.isKilled || (await left(pawl)) < SHORT,
        PATIENCE_MS,
      );
    await client.query("begin");
    const wanted = Array.from({ length: whole(1, 3) }, () => whole(1, AGGREGATES));
    const accounts = await lock(client, wanted);
    const ids: string[] = [];
    for (let n = whole(1, 12); n > 0; n -= 1) {
      const account = accounts[whole(0, accounts.length - 1)] ?? { id: 0, places: 0 };
      account.places += 1;
      const event: RecordOptions = {
        aggregate: ["account", account.id],
        payload: { place: account.places },
      };
      ids.push((await pawl.record("order.changed", event, { tx: client })).id);
    }
    for (const { id, places } of accounts)
      await client.query("update account set places = $2 where id = $1", [id, places]);
    const isCommitted = next() >= 0.1;
    await client.query(isCommitted ? "commit" : "rollback");
    if (isCommitted) committed.push(...ids);
  }
}

/** Kills a process while it delivers, ends its lease at once, and starts another. */
async function kills(run: Run, { whole }: Random): Promise<void> {
  const { workers, pawl, receiver } = run;
  const started: Promise<number>[] = [];
  for (let kill = 1; kill <= KILLS; kill += 1) {
    const due = (EVENTS * 0.8 * kill) / KILLS;
    await until("some more were accepted", () => receiver.accepted.length >= due, PATIENCE_MS);
    const pid = await until("a worker delivers", async () => {
      const rows = await pawl.store.rows<{ pid: number }>(
        "select distinct w.pid from pawl.worker w join pawl.claim c on c.worker_id = w.id where w.ended_at is null",
      );
      const busy = rows.map((row) => row.pid).filter((one) => workers.live.includes(one));
      return busy[whole(0, Math.max(busy.length - 1, 0))];
    });
    await workers.kill(pid);
    await workers.bury(pid);
    started.push(workers.start(CONCURRENCY, { [RECEIVER]: receiver.url }));
  }
  run.isKilled = true;
  await Promise.all(started);
}

test(`R96, R85: ${EVENTS} events of 50 aggregates to a receiver that fails one in ten, from 8 processes of which ${KILLS} are killed: none out of order, none lost, a second time only what a kill or a broken connection left open`, async () => {
  const chance = random();
  const receiver = await faultyReceiver(random(chance.seed + 1));
  const app = deliveryApp(receiver.url);
  const workers = await fleet({ app, child: "delivery-child.ts", setUp: SET_UP });
  const run: Run = { workers, pawl: workers.pawl, receiver, committed: [], isKilled: false };
  try {
    const env = { [RECEIVER]: receiver.url };
    await Promise.all(Array.from({ length: WORKERS }, () => workers.start(CONCURRENCY, env)));
    await Promise.all([
      ...Array.from({ length: PRODUCERS }, (_, n) => produce(run, random(chance.seed + 10 + n))),
      kills(run, random(chance.seed + 2)),
    ]);
    await until("all are delivered", async () => (await left(run.pawl)) === 0, PATIENCE_MS);
    await report(run, chance.seed);
  } finally {
    await workers.stop();
    await receiver.close();
  }
}, 900_000);

/** An event may be counted twice, and none is left out. */
async function left({ store }: Pawl): Promise<number> {
  const unrouted = await count(store, "event where routed_at is null");
  return unrouted + (await count(store, "task"));
}

async function report({ pawl, receiver, committed }: Run, seed: number): Promise<void> {
  const { accepted, broken, requests } = receiver;
  const ids = new Set(accepted.map((one) => one.id));
  const again = accepted.length - ids.size;
  const lost = await count(pawl.store, "attempt where outcome = 'lost'");
  console.log(
    `seed ${seed}: ${committed.length} committed, ${requests} requests, ${again} accepted again, ${broken} unheard, ${lost} lost`,
  );
  expect(inversions(accepted)).toEqual([]);
  expect([...ids].sort()).toEqual(committed.toSorted());
  expect(again).toBeLessThanOrEqual(lost + broken);
  const deliveries = new Map(accepted.map((one) => [one.id, one.deliveryId]));
  expect(accepted.filter((one) => deliveries.get(one.id) !== one.deliveryId)).toEqual([]);
  expect(await count(pawl.store, "dead")).toBe(0);
  expect(await count(pawl.store, "finished where outcome = 'done'")).toBe(committed.length);
  // two turns may have recorded its last tasks at once: then a third one removes the claim
  await until("no claim is left", async () => (await count(pawl.store, "claim")) === 0);
}
