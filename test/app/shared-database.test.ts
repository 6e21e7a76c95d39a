/** Two apps on one database: what one defines, the other cannot take. */

import { describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { connect, type Pawl } from "../../src/app/connect.ts";
import { appOf, defineApp } from "../../src/app/define-app.ts";
import { type App, type AppOptions, PARTS } from "../../src/app/parts.ts";
import { silentLogger } from "../../src/base/log.ts";
import { defineJob, defineSource, nullDestination, on } from "../../src/index.ts";
import { registerApp } from "../../src/registry/register.ts";
import { apps, removeApp } from "../../src/registry/sql.ts";
import { freshDatabase, freshStore } from "../support/database.ts";

const { url } = await freshDatabase();

async function as<T>(options: AppOptions, work: (pawl: Pawl) => Promise<T>): Promise<T> {
  const pawl = await connect(defineApp(options), { databaseUrl: url, log: silentLogger });
  try {
    return await work(pawl);
  } finally {
    await pawl.close();
  }
}
const joins = (options: AppOptions) => as(options, async () => "joined");

const job = defineJob({ name: "send-email", input: z.object({}), run: async () => undefined });
const elsewhere = defineJob({
  name: "send-email",
  queue: "low",
  input: z.object({}),
  run: async () => undefined,
});
const source = defineSource({ name: "orders", cursor: "number", fetch: async () => [] });
const mine: AppOptions = {
  name: "shop",
  queues: { mail: { concurrency: 2 }, normal: { concurrency: 5 } },
  jobs: [job],
  destinations: { erp: nullDestination() },
  routes: [on("order.*").to("erp")],
  sources: [source],
};

describe("R113: what one app's code defines, another's cannot take", async () => {
  await joins(mine);
  test.each<[string, Omit<AppOptions, "name">, string]>([
    ["a queue with other limits", { queues: { mail: { concurrency: 3 } } }, 'queue "mail"'],
    ["a default queue that it configures", { queues: { normal: {} } }, 'queue "normal"'],
    ["a job", { jobs: [job] }, 'job "send-email"'],
    ["a job of that name in another queue", { jobs: [elsewhere] }, 'job "send-email"'],
    ["a destination", { destinations: { erp: nullDestination() } }, 'destination "erp"'],
    ["a source", { sources: [source] }, 'source "orders"'],
  ])("%s", async (_, options, what) => {
    const refused = joins({ name: "billing", ...options });
    await expect(refused).rejects.toMatchObject({ code: "owned_by_code" });
    await expect(refused).rejects.toThrow(
      new RegExp(`app "billing" .*${what} of app "shop".*rename.*schema.*pawl apps remove shop`),
    );
  });
});

test("R113: default queues and a queue defined alike are shared, and nobody's limits change", async () => {
  await joins(mine);
  await joins({ name: "billing", queues: { mail: { concurrency: 2 } } });
  await as({ name: "third" }, async ({ store }) => {
    const rows = await store.rows(
      "select name, concurrency, application from pawl.queue where name in ('mail', 'normal', 'low') order by name",
    );
    expect(rows).toEqual([
      { name: "low", concurrency: null, application: "" },
      { name: "mail", concurrency: 2, application: "shop" },
      { name: "normal", concurrency: 5, application: "shop" },
    ]);
  });
});

test("R113: an app with a small payload limit does not lower that of another", async () => {
  const limit = ({ store }: Pawl) =>
    store.rows("select value from pawl.setting where name = 'payload_bytes_max'");
  await joins({ ...mine, maxPayloadBytes: 2_097_152 });
  expect(await as({ name: "small", maxPayloadBytes: 1_024 }, limit)).toEqual([
    { value: 2_097_152 },
  ]);
});

test("what an app no longer defines is free for another", async () => {
  await joins({ name: "first", destinations: { crm: nullDestination() }, jobs: [] });
  await expect(joins({ name: "second", destinations: { crm: nullDestination() } })).rejects.toThrow(
    "crm",
  );
  await joins({ name: "first" });
  expect(await joins({ name: "second", destinations: { crm: nullDestination() } })).toBe("joined");
});

test("R113: an app that is gone is removed by an operator, not while its workers live", async () => {
  const old: AppOptions = {
    name: "old",
    destinations: { wms: nullDestination() },
    routes: [on("stock.*").to("wms")],
  };
  await as(old, async (pawl) => {
    const worker = await pawl.work();
    const act = { name: "old", by: "ada", why: "renamed" };
    await expect(removeApp(pawl.store, act)).rejects.toThrow('app "old" has 1 live workers');
    await worker.stop();
    await removeApp(pawl.store, act);
    expect((await apps(pawl.store)).map((one) => one.name)).not.toContain("old");
    const routes = await pawl.store.rows("select 1 from pawl.route where application = 'old'");
    expect(routes).toEqual([]);
    await expect(removeApp(pawl.store, act)).rejects.toThrow('no app "old"; known: ');
  });
  expect(await joins({ ...old, name: "new" })).toBe("joined");
});

test("R113: a process that defines less than its app had is warned while a worker of the app lives, not one of a higher revision, nor one with as much", async () => {
  const warned: string[] = [];
  const warn = (_: object, text = "") => {
    if (text.includes("fewer definitions")) warned.push(text); // a slow machine is another warning
  };
  const log = { ...silentLogger, warn };
  const databaseUrl = (await freshDatabase()).url;
  const open = async (options: AppOptions) => {
    const pawl = await connect(defineApp({ name: "shop", ...options }), { databaseUrl, log });
    onTestFinished(() => pawl.close());
    return pawl;
  };
  const all: AppOptions = { ...mine, groups: { post: ["destination:erp"] } };
  const less: AppOptions = { jobs: [job], destinations: { erp: nullDestination() } };
  await open(all);
  await open(less);
  expect(warned).toEqual([]); // nobody runs anything
  const worker = await (await open(all)).work();
  await open(all);
  expect(warned).toEqual([]);
  await open(less);
  expect(warned).toEqual([
    expect.stringMatching(
      /^app "shop" has fewer definitions now, .*: queues 2 -> 0, groups 1 -> 0, routes 1 -> 0, sources 1 -> 0\. .*define the same.*producer.*revision/,
    ),
  ]);
  await open({ ...all, revision: 1 });
  await open({ ...less, revision: 2 });
  await open(all); // an older one changes nothing
  expect(warned.slice(1)).toEqual([]);
  await worker.stop();
});

test("two apps that start at the same moment cannot both take a name", async () => {
  const both = ["left", "right"].map((name) =>
    joins({ name, destinations: { race: nullDestination() } }),
  );
  const states = (await Promise.allSettled(both)).map((one) => one.status).sort();
  expect(states).toEqual(["fulfilled", "rejected"]);
});

test("R113 R116: what a further part defines is owned, counted and let go of by the row that the part has in the database", async () => {
  const store = await freshStore({ max: 3 });
  await store.rows("create table pawl.toy (name text, application text)");
  await store.rows("create table pawl.game (application text)");
  await store.rows(
    "insert into pawl.owned_kind (kind, relation, what) values ('toys', 'toy', 'toy'), ('games', 'game', null)",
  );
  const owned = () => store.rows("select name, application from pawl.toy order by name");
  const register = (name: string, toys: readonly string[] | undefined) =>
    registerApp({ store, log: silentLogger }, appOf({ name }, PARTS) as App, [
      ...PARTS,
      {
        catalogue: () => (toys === undefined ? {} : { names: { toys } }),
        register: async (executor, { application }) => {
          for (const toy of toys ?? [])
            await executor.rows("insert into pawl.toy values ($1, $2)", [toy, application]);
        },
      },
    ]);
  await register("shop", ["bear", "doll"]);
  await store.rows("insert into pawl.game values ('shop')");
  await expect(register("billing", ["bear"])).rejects.toThrow('toy "bear" of app "shop"');
  expect(await apps(store)).toMatchObject([{ name: "shop", toys: 2, games: 1, sources: 0 }]);

  await register("shop", undefined); // a Pawl without this part
  expect(await owned()).toMatchObject([{ application: "shop" }, { application: "shop" }]);
  await store.rows("delete from pawl.toy where name = 'bear'");
  await register("shop", ["bear"]);
  expect(await owned()).toEqual([
    { name: "bear", application: "shop" },
    { name: "doll", application: "" },
  ]);
  await removeApp(store, { name: "shop", by: "ada" });
  expect(await owned()).toMatchObject([{ application: "" }, { application: "" }]);
  expect(await store.rows("select from pawl.game")).toEqual([]);
  expect(
    await store.rows("select detail from pawl.audit where action = 'apps.remove'"),
  ).toMatchObject([
    {
      detail: { queues: 0, jobs: 0, sources: 0, games: 1, toys: 1 },
    },
  ]);
});
