/** Transactions of commands: what they write counts only while the lock is the run's own. */

import { expect, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import {
  type CommandContext,
  type CommandWrites,
  connect,
  defineApp,
  defineCommand,
  defineJob,
  defineProcess,
  type Pawl,
} from "../../src/index.ts";
import { atEnd } from "../support/at-end.ts";
import { freshDatabase, openTransaction } from "../support/database.ts";
import { waitForLocks } from "../support/kernel.ts";
import { until } from "../support/until.ts";

const input = z.object({ page: z.number() });
const mail = defineJob({ name: "mail", input, run: () => undefined });
const audit = defineProcess({ name: "audit", version: 1, input, steps: (s) => s.wait("word") });

/** What the commands do in this test. */
let act: (context: CommandContext) => Promise<void> = async () => undefined;
const both = { run: (context: CommandContext) => act(context) };
const books = defineCommand({ ...both, name: "books" });
const held = defineCommand({ ...both, name: "held", onCrash: "hold" });

const { url } = await freshDatabase({ longLeases: true });
const app = defineApp({ jobs: [mail], processes: [audit], commands: [books, held] });
const pawl: Pawl = await connect(app, { databaseUrl: url, log: silentLogger });
atEnd(() => pawl.close());
await pawl.store.rows("create table page (page int)");

async function write({ transaction }: CommandContext, page: number, then?: () => Promise<void>) {
  return transaction(async (tx, { enqueue, record, start }: CommandWrites) => {
    await tx.query("insert into page values ($1)", [page]);
    const job = await enqueue(mail, { page });
    const event = await record("page.read", { aggregate: ["page", page], payload: { page } });
    const run = await start(audit, { page });
    await then?.();
    return { job: job.id, event: event.id, run: run.id };
  });
}

/** What there is of a page: its row, job, event and run. */
async function written(page: number): Promise<number[]> {
  const [row] = await pawl.store.rows<{ counts: number[] }>(
    `select array[(select count(*) from page where page = $1),
       (select count(*) from pawl.task_v1 where queue = 'normal' and payload ->> 'page' = $1::text),
       (select count(*) from pawl.event where payload ->> 'page' = $1::text),
       (select count(*) from pawl.task_v1 where queue = 'processes' and payload ->> 'page' = $1::text)]::int[] as counts`,
    [page],
  );
  return row?.counts ?? [];
}

test("R30: what a command writes, enqueues, records and starts in its transaction commits together, here and on a worker, or not at all", async () => {
  let made: object = {};
  act = async (context) => {
    made = await write(context, 1);
    const failing = write(context, 2, () => Promise.reject(new Error("page 2 is torn")));
    await expect(failing).rejects.toThrow("page 2 is torn");
  };
  await pawl.commands.run("books");
  expect(made).toEqual({
    job: expect.any(String),
    event: expect.any(String),
    run: expect.any(String),
  });
  expect(await written(1)).toEqual([1, 1, 1, 1]);
  expect(await written(2)).toEqual([0, 0, 0, 0]);
  act = async (context) => void (await write(context, 3));
  const worker = await pawl.work({ queues: ["commands"] });
  const { id } = await pawl.commands.start("books");
  await until("it has ended", async () => (await pawl.task(id))?.state === "done");
  await worker.stop();
  expect(await written(3)).toEqual([1, 1, 1, 1]);
});

test("R30: a transaction whose lock was taken away while it ran writes nothing of it, and none begins afterwards", async () => {
  let later: unknown;
  let begun = 0;
  act = async (context) => {
    begun += 1;
    if (begun > 1) return;
    const stolen = write(context, 4, async () => {
      await pawl.locks.release("held", { why: "it hangs" });
      await pawl.commands.run("held"); // the next one has the lock, and has ended
    });
    await expect(stolen).rejects.toMatchObject({ code: "named_lease_lost" });
    later = await write(context, 5).catch((error: unknown) => error);
  };
  const ran = pawl.commands.run("held");
  await expect(ran).rejects.toMatchObject({ code: "named_lease_lost" });
  expect(begun).toBe(2);
  expect(later).toMatchObject({ code: "named_lease_lost" });
  expect(await written(4)).toEqual([0, 0, 0, 0]);
  expect(await written(5)).toEqual([0, 0, 0, 0]);
});

test("R30: from the check of the lock to the commit nobody takes the lock away: a release waits for it", async () => {
  await pawl.store.rows(`create function slow_commit() returns trigger language plpgsql as $$ begin
    perform pg_advisory_xact_lock(4242); return null; end $$`);
  await pawl.store.rows(
    "create constraint trigger slow after insert on page deferrable initially deferred for each row execute function slow_commit()",
  );
  const blocker = await openTransaction(url);
  await blocker.query("select pg_advisory_xact_lock(4242)");
  await waitForLocks(pawl.store, "release_lock_v1(text, text, text, text)");
  const waits = async (statement: string) => {
    const rows = await pawl.store.rows(
      "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query ilike $1",
      [`%${statement}%`],
    );
    return rows.length > 0;
  };
  act = async (context) => void (await write(context, 6));
  const ran = pawl.commands.run("held").catch(() => undefined);
  await until("it is about to commit", () => waits("commit"));
  let seen: number[] | undefined;
  // after the commit the command's end and the release both want the lock: when the end is first, nothing is left to release
  const released = pawl.locks.release("held", { why: "it hangs" }).catch((error: unknown) => {
    expect(error).toMatchObject({ message: expect.stringContaining('no lock "held"') });
  });
  const looked = released.then(async () => {
    seen = await written(6);
  });
  await until("the release waits", async () => seen !== undefined || (await waits("release_lock")));
  expect(seen).toBe(undefined);
  await blocker.query("rollback");
  await looked;
  expect(seen).toEqual([1, 1, 1, 1]);
  await ran;
});
