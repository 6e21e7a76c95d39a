import { expect, test } from "vitest";
import { z } from "zod";
import { startWork } from "../../src/app/work.ts";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob, flow, on, postgresTableSource } from "../../src/index.ts";
import { openSender } from "../../src/sender/sender.ts";
import type { Store } from "../../src/store/store.ts";
import { atEnd } from "../support/at-end.ts";
import { freshDatabase, rawClient } from "../support/database.ts";
import { until } from "../support/until.ts";

const ROUNDS = 10;

/** Counts statements and the watch's rounds. */
function counted(store: Store): { store: Store; sent: string[]; rounds: () => number } {
  const sent: string[] = [];
  const isRound = (text: string) => text.startsWith("select array[pawl.");
  return {
    sent,
    rounds: () => sent.filter(isRound).length,
    store: {
      ...store,
      rows: (text, values, timeoutMs) => {
        sent.push(text);
        return store.rows(text, values, timeoutMs);
      },
      prepared: (text, values, timeoutMs) => {
        sent.push(text);
        return store.prepared(text, values, timeoutMs);
      },
      transaction: (work) => {
        sent.push("transaction");
        return store.transaction(work);
      },
      ownTransaction: (work) => {
        sent.push("transaction");
        return store.ownTransaction(work);
      },
    },
  };
}

test("an idle worker of everything sends no more than two statements a second", async () => {
  const { url } = await freshDatabase();
  const client = await rawClient(url);
  await client.query(
    "create table public.feed (id bigint generated always as identity, note jsonb)",
  );
  const app = defineApp({
    name: "idle",
    jobs: [defineJob({ name: "job", input: z.unknown(), run: () => undefined })],
    destinations: { stock: flow(() => undefined) },
    routes: [on("order.*").to("stock")],
    sources: [
      postgresTableSource({
        name: "feed",
        databaseUrl: url,
        table: "public.feed",
        payload: "note",
        idle: "1m",
        store: async () => undefined,
      }),
    ],
  });
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  atEnd(() => pawl.close());
  const { store, sent, rounds } = counted(pawl.store);
  const worker = await startWork({ store, app, http: openSender({}), log: silentLogger }, {});
  atEnd(() => worker.stop("0s"));
  await until("polls are no longer close to each other", () => rounds() >= 4);
  const before = { sent: sent.length, rounds: rounds(), at: performance.now() };
  await until("some rounds later", () => rounds() >= before.rounds + ROUNDS);
  const later = sent.slice(before.sent).filter((text) => !text.startsWith("select array[pawl."));
  // a round comes once a second where nothing is slow
  const seconds = Math.max((performance.now() - before.at) / 1_000, ROUNDS);
  // what comes every p seconds comes up to 1 + seconds / p times in a window, wherever it begins:
  // the steps from one to the next keep to the rate
  const steps = later.length - new Set(later).size;
  expect(steps, later.join("\n")).toBeLessThanOrEqual(seconds);
});
