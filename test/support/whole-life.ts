/** A life of everything on one database: enqueued, run, recorded, routed, delivered, loaded, stored, and looked at. */

import type pg from "pg";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import type { StoredEvent } from "../../src/inbox/source.ts";
import { connect, defineApp, defineJob, flow, on, postgresTableSource } from "../../src/index.ts";
import { dead, retryDead } from "../../src/kernel/operator/dead/sql.ts";
import type { OutboxEvent } from "../../src/outbox/destinations/types.ts";
import { present } from "./present.ts";
import { until } from "./until.ts";

export interface Life {
  /** What each job got: its number, and when it was created. */
  ran: { n: number; createdAt: Date }[];
  delivered: OutboxEvent[];
  stored: StoredEvent[];
  /** Of each call that wrote. */
  ids: unknown[];
  /** What people were shown. */
  shown: Record<string, unknown>;
}

/** `foreign` is the app's own connection to the same database, with whatever parsers and settings it has. */
export async function wholeLife(
  url: string,
  foreign: pg.Client,
  few: { connections?: number; transactions?: number } = {},
): Promise<Life> {
  const life: Life = { ran: [], delivered: [], stored: [], ids: [], shown: {} };
  await foreign.query(
    "create table if not exists public.feed (id bigint generated always as identity, at pg_catalog.timestamptz, note pg_catalog.jsonb)",
  );
  await foreign.query("create table if not exists public.done (n int)");
  await foreign.query(
    "insert into public.feed (at, note) values ('2026-02-03T04:05:06.789Z', '{\"n\": 1}')",
  );
  const job = defineJob({
    name: "count",
    input: z.object({ n: z.number() }),
    retry: { attempts: 1 },
    key: ({ n }) => `key-${n}`,
    run: async ({ n }, { createdAt, tx }) => {
      life.ran.push({ n, createdAt });
      if (n < 0) throw new Error("below zero");
      await tx.query("insert into public.done values ($1)", [n]);
    },
  });
  const plain = defineJob({
    name: "plain",
    input: z.object({ n: z.number() }),
    run: ({ n }, { createdAt }) => void life.ran.push({ n, createdAt }),
  });
  const app = defineApp({
    name: "life",
    jobs: [job, plain],
    destinations: {
      stock: flow((event) => void life.delivered.push(event), { order: "aggregate" }),
    },
    routes: [on("order.*", { match: "$.payload.total > 5" }).to("stock")],
    sources: [
      postgresTableSource({
        name: "feed",
        databaseUrl: url,
        table: "public.feed",
        payload: "note",
        occurredAt: "at",
        store: async (events) => void life.stored.push(...events),
      }),
    ],
  });
  const pawl = await connect(app, {
    databaseUrl: url,
    migrate: true,
    log: silentLogger,
    ...(few.connections !== undefined && { connections: few.connections }),
  });
  try {
    const order = { aggregate: ["order", 7], payload: { total: 9 } } as const;
    life.ids.push(
      (await pawl.enqueue(job, { n: 1 })).id,
      (await pawl.enqueue(job, { n: -1 })).id,
      (await pawl.enqueue(plain, { n: 2 }, { runAt: new Date(Date.now() - 1000) })).id,
      (await pawl.record("order.placed", order)).id,
    );
    await pawl.transaction(async (tx) => {
      life.ids.push((await pawl.enqueue(job, { n: 3 }, { tx })).id);
      life.ids.push((await pawl.enqueue(job, { n: 3 }, { tx })).id);
    });
    await foreign.query("begin");
    life.ids.push(
      (await pawl.enqueue(job, { n: 4 }, { tx: foreign })).id,
      (await pawl.enqueue(plain, { n: 5 }, { tx: foreign })).id,
      (await pawl.record("order.paid", order, { tx: foreign })).id,
      (await pawl.sendTo("flow", "stock", "other.thing", order, { tx: foreign })).id,
    );
    await foreign.query("commit");
    const later = await pawl.enqueue(plain, { n: 6 }, { delay: "1h" });
    life.shown.why = await pawl.why(later.id);
    await pawl.work({
      concurrency: 4,
      ...(few.transactions !== undefined && { transactions: few.transactions }),
    });
    await until("everything was done", () =>
      Promise.resolve(
        life.ran.length >= 6 && life.delivered.length >= 3 && life.stored.length >= 1,
      ),
    );
    const [letter] = await until("a dead letter", async () => {
      const letters = (await dead(pawl.store, { limit: 10 })).rows;
      return letters.length > 0 && letters;
    });
    life.shown.dead = letter;
    if (letter !== undefined) {
      life.shown.retried = await retryDead(pawl.store, [letter.id], { by: "someone" });
    }
    life.shown.cancelled = await pawl.cancel(later.id);
    life.shown.task = await pawl.task(later.id);
    life.shown.stats = await pawl.stats();
    life.shown.source = await until("the event was stored", async () => {
      const source = await present(pawl.sources.get("feed"));
      return source.stored === "1" && source;
    });
  } finally {
    await pawl.close();
  }
  return life;
}
