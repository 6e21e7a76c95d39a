import path from "node:path";
import { expect, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { connect } from "../../src/index.ts";
import { changeAll } from "../../src/kernel/operator/dead/batches.ts";
import { countDead } from "../../src/kernel/operator/dead/sql.ts";
import { atEnd } from "../support/at-end.ts";
import { freshDatabase, rawClient } from "../support/database.ts";
import { CONFIG, pawlJson } from "./cli.ts";
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
  const reports: string[] = [];
  const staysDead = async (ids: readonly string[]) => {
    batches.push(ids.length);
    return ids.map((id) => ({ id, outcome: "retried" as const }));
  };
  const changed = await changeAll(client.store, {
    selection,
    found,
    apply: staysDead,
    action: "retry",
    report: (text) => reports.push(text),
  });
  expect(changed.ids).toHaveLength(COUNT);
  expect(batches).toEqual([1_000, 1_000, 300]);
  expect(reports).toEqual([
    "retry: [#########...........] 1000 of 2300",
    "retry: [#################...] 2000 of 2300",
    "retry: [####################] 2300 of 2300",
    "",
  ]);

  const { json } = await pawlJson(["dead", "retry", "--all", "--kind", "broken"], { url });
  expect(json).toEqual({ action: "retry", dryRun: false, count: COUNT, duplicates: [] });
  expect((await countDead(client.store, {})).count).toBe(0);
  await client.close();
});

test("R59: on the command line a payload is given or edited, a filter selects, and its faults name the place", async () => {
  const { url } = await freshDatabase();
  const client = await connect(app, { databaseUrl: url, log: silentLogger });
  atEnd(() => client.close());
  const raw = await rawClient(url);
  await raw.query(
    `insert into pawl.dead (id, seq, stream_id, priority, attempt, crashes, reason, created_at, run_at, died_at, payload, error)
     select n, n, st.id, 1, 3, 0, 'attempts', now(), now(), now(), '{"why":"a"}', '{"message":"down"}'
       from generate_series(1, 4) n, pawl.stream st where st.kind = 'broken'`,
  );
  const cwd = path.dirname(CONFIG);
  const run = (args: string[], env: Record<string, string> = {}) =>
    pawlJson(["dead", ...args], { url, cwd, env: { VISUAL: "", EDITOR: "", ...env } });

  const given = await run(["retry", "1", "--payload", '{"why":"b"}', "--why", "typo"]);
  const { as } = given.json as { as: string };
  expect(given.json).toEqual({
    action: "retry",
    dryRun: false,
    count: 1,
    ids: ["1"],
    duplicates: [],
    as,
  });
  expect(await client.task(as)).toMatchObject({
    payload: { why: "b" },
    meta: { origin: "task:1" },
  });

  const edited = await run(["retry", "2", "--edit"], { EDITOR: 'sed -i.old s/\\"a\\"/\\"c\\"/' });
  expect(edited.json).toMatchObject({ count: 1 });
  expect(await client.task((edited.json as { as: string }).as)).toMatchObject({
    payload: { why: "c" },
  });
  const message = async (args: string[], env = {}) =>
    ((await run(args, env)).json as { error: { message: string } }).error.message;
  expect(await message(["retry", "3", "--edit"], { EDITOR: "true" })).toContain(
    "the text is as it was",
  );
  expect(await message(["retry", "3", "--edit"], { EDITOR: "false" })).toContain(
    "ended with code 1",
  );
  expect(await message(["retry", "3", "--edit"])).toContain("neither VISUAL nor EDITOR is set");
  expect(await message(["retry", "3", "--edit"], { EDITOR: "sed -i.old s/why/wy/" })).toContain(
    "why",
  );
  expect(await message(["retry", "3", "--edit"], { EDITOR: "echo { >" })).toMatch(
    /^--edit: nothing was changed, since the text is not JSON: .*position 2/,
  );
  expect(await message(["retry", "3", "--edit", "--payload", "{}"])).toBe(
    "--edit: nothing was changed, since --payload says it already; give one of the two",
  );
  expect(await message(["retry", "--all", "--edit"], { EDITOR: "true" })).toContain(
    "is for one dead letter",
  );

  const listed = await run(["list", "--filter", "id:3,4 err:DOWN"]);
  expect((listed.json as { dead: unknown[] }).dead).toHaveLength(2);
  expect(await message(["list", "--filter", "id:3 er:x"])).toBe(
    '--filter, character 6 ("er"): no field "er"; did you mean "err"?',
  );
  const dry = await run(["retry", "--all", "--filter", "id:3,4 err:DOWN", "--dry-run"]);
  expect(dry.json).toEqual({ action: "retry", dryRun: true, count: 2 });
  expect((await run(["remove", "--all", "--filter", "id:3", "--yes"])).json).toMatchObject({
    count: 1,
  });
  expect((await run(["list"])).json).toMatchObject({ dead: [{ id: "4" }] });
});
