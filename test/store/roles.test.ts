import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineCommand, defineJob, flow, on } from "../../src/index.ts";
import { dead, deadGroups, retryDead } from "../../src/kernel/operator/dead/sql.ts";
import { stats, tasks } from "../../src/kernel/operator/sql.ts";
import { parseFilter } from "../../src/operate/filter/filter.ts";
import { migrate } from "../../src/store/migrate.ts";
import { makeRoles, rolesSql } from "../../src/store/roles.ts";
import { openStore, type Store } from "../../src/store/store.ts";
import { atEnd } from "../support/at-end.ts";
import { freshDatabase, rawClient } from "../support/database.ts";
import { until } from "../support/until.ts";

/** Roles belong to the whole server: the schema has a name of its own, and theirs begin with it. */
const schema = `roles_${randomBytes(4).toString("hex")}`;
const ROLES = ["producer", "worker", "operator", "reader"] as const;
type Role = (typeof ROLES)[number];
const { url } = await freshDatabase({ migrated: false });
const owner = openStore({ url, schema, max: 3 });
atEnd(() => owner.close());
await migrate(owner);
const made = await makeRoles(owner);
const admin = await rawClient(url);
atEnd(async () => {
  const names = ROLES.map((role) => `${schema}_${role}`).join(", ");
  const last = await rawClient(url);
  await last.query(`drop owned by ${names}; drop role ${names}`);
});

/** As somebody to whom the role was granted. */
function urlAs(role: Role): string {
  const options = `options=${encodeURIComponent(`-c role=${schema}_${role}`)}`;
  return `${url}${url.includes("?") ? "&" : "?"}${options}`;
}

function storeAs(role: Role): Store {
  const store = openStore({ url: urlAs(role), schema, max: 2 });
  atEnd(() => store.close());
  return store;
}

const job = defineJob({
  name: "count",
  input: z.object({ n: z.number() }),
  retry: { attempts: 1 },
  key: ({ n }) => `n-${n}`,
  run: ({ n }) => {
    if (n < 0) throw new Error("below zero");
  },
});
const plain = defineJob({
  name: "plain",
  input: z.object({ n: z.number() }),
  run: () => undefined,
});
const tidy = defineCommand({
  name: "tidy",
  run: async ({ transaction }) => transaction((tx) => tx.query("select 1")),
});
const app = defineApp({
  name: "roles",
  commands: [tidy],
  schema,
  jobs: [job, plain],
  requests: {},
  destinations: { stock: flow(() => undefined) },
  routes: [on("order.*").to("stock")],
});
const order = { aggregate: ["order", 7], payload: { total: 9 } } as const;

test("R115: the four roles are made once; the SQL of a plan names them; nothing is left to PUBLIC", async () => {
  expect(made).toEqual(ROLES.map((role) => `${schema}_${role}`));
  expect(await makeRoles(owner)).toEqual([]);
  expect(await migrate(owner)).toEqual({ migrations: [], functions: [] });
  expect(rolesSql(owner).sql).toContain(`create role ${schema}_producer nologin;`);
  const open = await owner.rows(
    `select p.oid::regprocedure::text as name from pg_proc p
      where p.pronamespace = $1::regnamespace
        and (p.proacl is null or exists (select from aclexplode(p.proacl) a where a.grantee = 0))`,
    [schema],
  );
  expect(open).toEqual([]);
  const missing = await owner.rows(
    `select c.role, u.name from pawl.role_grant c cross join unnest(c.calls) u (name)
      where not exists (select from pg_proc p where p.pronamespace = $1::regnamespace and p.proname = u.name)`,
    [schema],
  );
  expect(missing).toEqual([]);
});

test("R115: a producer writes in its own transaction and a worker does it, each with no right but its role's", async () => {
  const worker = await connect(app, { databaseUrl: urlAs("worker"), log: silentLogger });
  atEnd(() => worker.close());
  const producer = await connect(app, {
    databaseUrl: urlAs("producer"),
    log: silentLogger,
    role: "producer",
  });
  atEnd(() => producer.close());
  const foreign = await rawClient(urlAs("producer"));
  await admin.query(`create table public.business (n int); grant all on public.business to public`);
  await foreign.query("begin");
  await foreign.query("insert into public.business values (1)");
  const one = await producer.enqueue(job, { n: -1 }, { tx: foreign });
  await producer.record("order.placed", order, { tx: foreign });
  await foreign.query("commit");
  await producer.transaction((tx) => producer.enqueueMany(plain, [{ n: 1 }, { n: 2 }], { tx }));
  const sent = await producer.sendTo("flow", "stock", "other.thing", order);
  expect(() => (producer as unknown as { work: unknown }).work).toThrow(
    /only writes work and events/,
  );
  await worker.work({ concurrency: 4 });
  await until("the event was delivered", async () => {
    return (await worker.event(sent.id))?.status === "published";
  });
  const letter = await until("the task is dead", async () => {
    const [found] = (await dead(owner, { limit: 1 })).rows;
    return found ?? false;
  });
  expect(letter.id).toBe(one.id);

  await worker.commands.run("tidy");
  expect(await worker.commands.list()).toMatchObject([{ key: "tidy", status: "idle" }]);
  const operator = storeAs("operator");
  expect(await stats(storeAs("reader"))).toEqual(
    expect.arrayContaining([expect.objectContaining({ queue: "normal" })]),
  );
  expect(await deadGroups(storeAs("reader"), { limit: 10 })).toMatchObject([
    { kind: "count", tasks: 1 },
  ]);
  const shown = async (role: (typeof ROLES)[number]) =>
    (await dead(storeAs(role), { limit: 1 })).rows.map((row) => [row.id, row.payload]);
  expect(await shown("operator")).toEqual([[letter.id, { n: -1 }]]);
  expect(await shown("reader")).toEqual([[letter.id, null]]);
  for (const text of ["payload.n:-1", "payload.n:7", `payload.n:-1 id:${letter.id}`]) {
    const fields = { payload: "json", id: "id" } as const;
    const filter = parseFilter(text, fields, { label: "f", option: "f" });
    const states = ["dead"] as const;
    await expect(tasks(storeAs("reader"), { limit: 1, filter, states })).rejects.toThrow(
      "may not read",
    );
    await expect(dead(storeAs("reader"), { limit: 1, filter })).rejects.toThrow("may not read");
    await expect(deadGroups(storeAs("reader"), { limit: 1, filter })).rejects.toThrow(
      "may not read",
    );
  }
  expect(await retryDead(operator, [letter.id], { by: "" })).toMatchObject([
    { outcome: "retried" },
  ]);
});

const CALLS: readonly [call: string, may: string][] = [
  [`pawl.enqueue('[{"kind": "plain", "payload": {"n": 3}}]')`, "producer worker"],
  [`pawl.enqueue('[]')`, "producer worker"],
  [`pawl.record('order.placed', 'order', '1', '{}')`, "producer worker"],
  [`pawl.send_v1('[]')`, "worker"],
  [`pawl.register_v1('{}')`, "worker"],
  [`pawl.make_missing_partitions_v1('kernel', 8)`, "worker"],
  [`pawl.rescue_v1()`, "worker"],
  [`pawl.off_v1('queue:low', 'me', null, null)`, "operator"],
  [`pawl.on_v1('queue:low', 'me', null)`, "operator"],
  [`pawl.cancel_v1('{1}', 'me', null)`, "operator"],
  [`pawl.add_key_v1('k', 'HS256', null, '{"env": "X"}', 'me', null)`, "operator"],
  [`pawl.put_tasks('[]', true)`, ""],
  [`pawl.secure_v1()`, ""],
  [`pawl.grant_roles_v1()`, ""],
  [`pawl.stats_v1()`, "worker operator reader"],
  [`pawl.why_task_v1(1)`, "worker operator reader"],
  [`pawl.commands_v1('h', '{}')`, "worker operator reader"],
  [`pawl.command_runs_v1(null, 1)`, "worker operator reader"],
  [`pawl.locks_v1()`, "worker operator reader"],
  [`pawl.release_lock_v1('x', 'ada', 'why', 'locks.release')`, "operator"],
  [`pawl.start_command_v1('x', null, 'hold', 'h', 1, 'ada', null, 'commands.run')`, "worker"],
  [`pawl.start_command_task_v1('x', null, 'ada', null, 'commands.start')`, "worker operator"],
  [`pawl.find_task_v1(1)`, "worker operator"],
  [`(select id, status, error from pawl.delivery_now_v1) x`, "worker operator reader"],
  [`(select count(result) from pawl.delivery_now_v1) x`, "worker operator"],
  [`pawl.source_now_v1`, "worker operator reader"],
  [`(select count(payload) from pawl.task_v1) x`, "worker operator"],
  [`(select count(result) from pawl.task_ended_v1) x`, "worker operator"],
  [`(select id, state, max_attempts from pawl.task_now_v1) x`, "worker operator reader"],
  [`(select id, reason, is_blocking from pawl.task_dead_v1) x`, "worker operator reader"],
  [`(select id, outcome, ended_at from pawl.task_ended_v1) x`, "worker operator reader"],
  [`(select id, state, error from pawl.task_v1) x`, "worker operator reader"],
  [`(select count(payload) from pawl.task) x`, "worker operator"],
  [`(select count(*) from pawl.queue) x`, "worker operator reader"],
  [`(select count(config) from pawl.destination) x`, "worker operator"],
  [`(select count(secrets) from pawl.key) x`, "worker operator"],
  [`(select count(payload) from pawl.event) x`, "worker operator"],
  [`(select count(id) from pawl.event) x`, "worker operator reader"],
];

test.each(CALLS)("R115: select * from %s may be asked by: %s", async (call, may) => {
  for (const role of ROLES) {
    const asked = admin
      .query(`set role ${schema}_${role}`)
      .then(() => admin.query(`select * from ${call.replaceAll("pawl.", `${schema}.`)}`))
      .then(
        () => "may",
        (error: { code?: string }) => (error.code === "42501" ? "may not" : "may"),
      );
    expect(`${role} ${await asked}`).toBe(
      `${role} ${may.split(" ").includes(role) ? "may" : "may not"}`,
    );
    await admin.query("reset role");
  }
});

test.each(["requests", "destination:stock", "pawl"])(
  "R115: nobody enqueues into queue %s, which is a part's: it would sign anybody's claims",
  async (queue) => {
    const tasks = JSON.stringify([{ kind: "x", queue, payload: {} }]);
    const refused = { code: "invalid_option", message: expect.stringContaining("part of Pawl") };
    const store = storeAs("producer");
    const many = [JSON.stringify({ kind: "x", queue }), "[{}]"];
    await expect(store.rows("select pawl.enqueue($1)", [tasks])).rejects.toMatchObject(refused);
    await expect(store.rows("select pawl.enqueue_many_v1($1, $2)", many)).rejects.toMatchObject(
      refused,
    );
    await expect(
      store.rows("select pawl.enqueue_each_v1($1, null)", [tasks]),
    ).rejects.toMatchObject(refused);
  },
);

test("R115: who may not is told what to grant", async () => {
  await expect(
    storeAs("reader").rows("select pawl.record('a.b', 'c', 'd', '{}')"),
  ).rejects.toMatchObject({
    code: "database_permission",
    message: expect.stringContaining("docs/roles.md"),
  });
});
