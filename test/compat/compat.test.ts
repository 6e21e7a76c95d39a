import type pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { freshDatabase, rawClient } from "../support/database.ts";
import { databaseProxy } from "../support/database-proxy.ts";
import { installedPawl } from "./installed-pawl.ts";
import type { Own, Subject } from "./subject.ts";
import { onPg, onPostgresJs } from "./subjects/drizzle.ts";
import { subject as knex } from "./subjects/knex.ts";
import { subject as kysely, controlled as kyselyControlled } from "./subjects/kysely.ts";
import { subject as mikroOrm } from "./subjects/mikro-orm.ts";
import { subject as pgClient } from "./subjects/pg.ts";
import { subject as postgresJs } from "./subjects/postgres-js.ts";
import { subject as prisma } from "./subjects/prisma.ts";
import { subject as sequelize } from "./subjects/sequelize.ts";
import { subject as typeOrm, runner as typeOrmRunner } from "./subjects/type-orm.ts";

type Tx = Parameters<Parameters<Subject["transaction"]>[0]>[0];
type Lib = Awaited<ReturnType<typeof installedPawl>>;

const LIBRARIES: [string, (url: string) => Promise<Subject>][] = [
  ["pg", pgClient],
  ["postgres.js", postgresJs],
  ["Drizzle on pg", onPg],
  ["Drizzle on postgres.js", onPostgresJs],
  ["Prisma", prisma],
  ["Kysely", kysely],
  ["Kysely, ended by the app", kyselyControlled],
  ["Knex", knex],
  ["TypeORM", typeOrm],
  ["TypeORM's QueryRunner", typeOrmRunner],
  ["MikroORM", mikroOrm],
  ["Sequelize", sequelize],
];
/** Whatever a library could take for a placeholder, an escape or a value of its own. */
const ODD = {
  text: "'$1' $$2 ? ?? :name ::x \\ \" {a} %s — 🐾 é\n",
  big: "9007199254740993",
  list: [1, null, "two", [true]],
  nested: { date: "2024-02-29T12:00:00.123456Z", none: null },
};
const SOME = { aggregate: ["order", "1"] as const, payload: ODD };
const SILENT = Object.fromEntries(
  ["debug", "info", "warn", "error"].map((level) => [level, () => undefined]),
) as never;
class ChangedMind extends Error {}

let lib: Lib;
let url: string;
let look: pg.Client;

beforeAll(async () => {
  lib = await installedPawl();
  ({ url } = await databaseProxy((await freshDatabase()).url)); // some libraries know no sockets
  look = await rawClient(url);
  await look.query(`create table public.invoice (n int primary key); ${lib.SEEN_TABLE}`);
});

function appOf({ defineApp, defineJob, defineProcess, flow }: Lib) {
  const job = defineJob({ name: "job", input: z.unknown(), run: () => undefined });
  const approval = defineProcess({
    name: "approval",
    version: 1,
    input: z.unknown(),
    steps: (s) => s.wait("approved"),
  });
  const app = defineApp({
    name: "compat",
    jobs: [job],
    processes: [approval],
    destinations: { erp: flow(async () => undefined) },
  });
  return { job, approval, app };
}

async function state() {
  const { rows } = await look.query(
    `select (select count(*) from invoice)::int as invoices, (select count(*) from pawl.task)::int as tasks,
       (select count(*) from pawl.event)::int as events, (select count(*) from pawl.process_signal)::int as signals,
       (select count(*) from webhook_seen)::int as seen`,
  );
  return rows[0];
}

describe.each(LIBRARIES)("a transaction of %s", (_, open) => {
  let subject: Subject;
  let pawl: Awaited<ReturnType<Lib["connect"]>>;
  let made: ReturnType<typeof appOf>;
  let n = 0;

  beforeAll(async () => {
    subject = await open(url);
    made = appOf(lib);
    pawl = await lib.connect(made.app, { databaseUrl: url, log: SILENT });
    await look.query("truncate invoice");
  });
  afterAll(async () => {
    await pawl.close();
    await subject.close();
  });

  /** One of each call that takes `tx`. */
  async function everything(tx: Tx, run: string) {
    const { job, approval } = made;
    const one = await pawl.enqueue(job, ODD, { tx });
    const many = await pawl.enqueueMany(job, [ODD, ODD], { tx, meta: ODD });
    const keyed = await pawl.enqueue(job, ODD, { tx, key: `it's a $1 ? ${run}` });
    await pawl.record("order.placed.v1", SOME, { tx });
    await pawl.sendTo("flow", "erp", "order.placed.v1", SOME, { tx });
    const { id } = await pawl.start(approval, ODD, { tx });
    await pawl.signal(run, "approved", ODD, { tx });
    await pawl.request(
      { method: "POST", url: "https://example.com/?a=$1", body: ODD.text },
      { tx },
    );
    expect(await lib.isFirst(tx, run)).toBe(true);
    expect(await lib.isFirst(tx, run)).toBe(false);
    return [one.id, ...many.map((each) => each.id), keyed.id, id];
  }

  /** Of a transaction that was rolled back or committed. */
  async function ended(end: "commit" | "rollback") {
    let kept: Tx | undefined;
    const done = subject.transaction(async (tx) => {
      await pawl.enqueue(made.job, 1, { tx });
      kept = tx;
      if (end === "rollback") throw new ChangedMind();
    });
    await done.catch((error: unknown) => expect(error).toBeInstanceOf(ChangedMind));
    if (kept === undefined) throw new Error("no transaction");
    return kept;
  }

  test("R109: what every call writes commits with the app's own work, exactly as it was given", async () => {
    const { id: run } = await pawl.start(made.approval, 1);
    const before = await state();
    let ids: readonly string[] = [];
    await subject.transaction(async (tx, own) => {
      n += 1;
      await own.insert(n);
      ids = await everything(tx, run);
      expect(await state()).toEqual(before);
    });
    const after = await state();
    expect(after).toEqual({
      invoices: before.invoices + 1,
      tasks: before.tasks + 6,
      events: before.events + 2,
      signals: before.signals + 1,
      seen: before.seen + 1,
    });
    for (const id of ids) expect(await pawl.task(id)).toMatchObject({ payload: ODD });
    const { rows } = await look.query("select payload from pawl.event order by id desc limit 1");
    expect(rows).toEqual([{ payload: ODD }]);
  });

  test("R109: a rollback leaves nothing of any call", async () => {
    const { id: run } = await pawl.start(made.approval, 1);
    const before = await state();
    const rolledBack = subject.transaction(async (tx, own) => {
      n += 1;
      await own.insert(n);
      await everything(tx, run);
      throw new ChangedMind();
    });
    await expect(rolledBack).rejects.toThrow(ChangedMind);
    expect(await state()).toEqual(before);
  });

  test("R109: of two savepoints the released one is kept and the other leaves nothing", async () => {
    const before = await state();
    const inside = async (own: Own, isKept: boolean) =>
      own.savepoint(async (nested) => {
        await pawl.enqueueMany(made.job, [1, 2], { tx: nested });
        if (!isKept) throw new ChangedMind();
      });
    await subject.transaction(async (tx, own) => {
      await expect(inside(own, false)).rejects.toThrow(ChangedMind);
      await inside(own, true);
      await pawl.enqueue(made.job, 3, { tx });
    });
    expect(await state()).toEqual({ ...before, tasks: before.tasks + 3 });
  });

  test.each(["commit", "rollback"] as const)(
    "R109: after its %s it is refused, and nothing is written",
    async (end) => {
      const kept = await ended(end);
      const before = await state();
      const { id: run } = await pawl.start(made.approval, 1);
      const calls = [
        () => pawl.enqueue(made.job, 2, { tx: kept }),
        () => pawl.record("order.placed.v1", SOME, { tx: kept }),
        () => pawl.signal(run, "approved", 1, { tx: kept }),
      ];
      for (const call of calls)
        await expect(call()).rejects.toMatchObject({ code: "not_a_transaction" });
      await expect(lib.isFirst(kept, run)).rejects.toThrow();
      expect(await state()).toEqual({ ...before, tasks: before.tasks + 1 });
    },
  );

  test("R109: once a statement in it has failed, calls say so, and it rolls back", async () => {
    const before = await state();
    const aborted = subject.transaction(async (tx, own) => {
      await pawl.enqueue(made.job, 1, { tx });
      await Promise.resolve(own.fail()).catch(() => undefined);
      await expect(pawl.enqueue(made.job, 2, { tx })).rejects.toMatchObject({
        code: "database_error",
        data: { sqlstate: "25P02" },
      });
      throw new ChangedMind();
    });
    await expect(aborted).rejects.toThrow();
    expect(await state()).toEqual(before);
  });

  test("R109: an error of the database's own checks keeps its code", async () => {
    const missing = subject.transaction((tx) =>
      pawl.sendTo("webhook", "nobody", "order.placed.v1", SOME, { tx }).then(() => undefined),
    );
    await expect(missing).rejects.toMatchObject({ code: "unknown_destination" });
  });

  test("R109: its pool or root client is refused by name, with the page to read", async () => {
    const before = await state();
    for (const root of subject.roots) {
      const refused = pawl.enqueue(made.job, 1, { tx: root as Tx });
      await expect(refused).rejects.toMatchObject({
        code: "not_a_transaction",
        message: expect.stringMatching(
          new RegExp(`of ${subject.library.replace(".", "\\.")}: .*docs/orm/README\\.md`),
        ),
      });
    }
    expect(await state()).toEqual(before);
  });
});
