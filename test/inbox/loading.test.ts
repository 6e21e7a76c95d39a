import { expect, onTestFinished, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { defineSource } from "../../src/inbox/define-source.ts";
import { connect, defineApp } from "../../src/index.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

test("R42 R46: what a source gives out is stored once, and its cursors follow", async () => {
  const { url } = await freshDatabase();
  const asked: string[] = [];
  const numbers = defineSource({
    name: "numbers",
    gap: 0,
    limit: 10,
    fetch: async (after, limit) => {
      asked.push(after);
      const first = Number(after) + 1;
      const count = Math.max(Math.min(limit, 25 - Number(after)), 0);
      return Array.from({ length: count }, (_, i) => ({
        id: String(first + i),
        name: "number.seen",
        payload: { n: first + i },
      }));
    },
  });
  const app = defineApp({ sources: [numbers] });
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  onTestFinished(() => pawl.close());
  await pawl.work();
  await until("all are stored", async () => {
    const [row] = await pawl.store.rows<{ n: number }>(
      "select count(*)::int as n from pawl.stored_event",
    );
    return row?.n === 25;
  });
  expect(asked.slice(0, 3)).toEqual(["0", "10", "20"]);
  const [source] = await pawl.store.rows(
    "select requested, stored, backlog from pawl.sources_v1('numbers')",
  );
  expect(source).toEqual({ requested: "25", stored: "25", backlog: "0" });
  const windows = await pawl.store.rows(
    "select state, events from pawl.source_windows_v1('numbers', 'done', 10) order by id",
  );
  expect(windows).toMatchObject([
    { state: "done", events: 10 },
    { state: "done", events: 10 },
    { state: "done", events: 5 },
  ]);
});
