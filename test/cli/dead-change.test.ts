import { expect, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { connect } from "../../src/index.ts";
import { changeAll } from "../../src/kernel/operator/dead/batches.ts";
import { countDead } from "../../src/kernel/operator/dead/sql.ts";
import { freshDatabase, rawClient } from "../support/database.ts";
import { pawlJson } from "./cli.ts";
import app from "./fixture/pawl.config.ts";

const COUNT = 2_300;

test("R59: thousands of dead letters go back in batches, each once, even where they die again at once", async () => {
  const { url } = await freshDatabase();
  const client = await connect(app, { databaseUrl: url, log: silentLogger });
  const raw = await rawClient(url);
  await raw.query(
    `insert into pawl.dead (id, seq, stream_id, priority, attempt, crashes, reason, created_at, run_at, died_at, payload, error)
     select n, n, st.id, 1, 3, 0, 'attempts', now(), now(), now(), '{"why":"a"}', '{"message":"down"}'
       from generate_series(1, $1::int) n, pawl.stream st where st.kind = 'broken'`,
    [COUNT],
  );
  const selection = { kind: "broken", error: "down" };
  const found = await countDead(client.store, selection);
  expect(found).toEqual({ count: COUNT, last: String(COUNT) });

  const batches: number[] = [];
  const staysDead = async (ids: readonly string[]) => {
    batches.push(ids.length);
    return ids.map((id) => ({ id, outcome: "retried" as const }));
  };
  const changed = await changeAll(client.store, {
    selection,
    found,
    apply: staysDead,
    action: "retry",
    report: () => undefined,
  });
  expect(changed.ids).toHaveLength(COUNT);
  expect(batches).toEqual([1_000, 1_000, 300]);

  const { json } = await pawlJson(["dead", "retry", "--all", "--kind", "broken"], { url });
  expect(json).toEqual({ action: "retry", dryRun: false, count: COUNT, duplicates: [] });
  expect((await countDead(client.store, {})).count).toBe(0);
  await client.close();
});
