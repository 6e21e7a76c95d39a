/** Two different things never share a key that is joined of names. Each test has a pair that would. */

import { randomBytes } from "node:crypto";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineDestinationType, defineJob, rabbitmq } from "../../src/index.ts";
import { localSwitches } from "../../src/kernel/local-switches.ts";
import { refuseForeignSeals, seal, unseal } from "../../src/secrets/seal.ts";
import { openSender } from "../../src/sender/sender.ts";
import { migrate } from "../../src/store/migrate.ts";
import { openStore } from "../../src/store/store.ts";
import { generateWebhookSecret, signWebhook } from "../../src/webhooks/index.ts";
import { signingKey } from "../../src/webhooks/jwt-keys.ts";
import { freshDatabase, rawClient } from "../support/database.ts";

const { url } = await freshDatabase();
const client = await rawClient(url);
const job = (name: string, queue = "normal") =>
  defineJob({ name, queue, input: z.object({}), run: () => undefined });

async function failure(
  text: string,
  values: unknown[] = [],
): Promise<{ code?: string; message?: string }> {
  return client.query(text, values).then(
    () => ({}),
    (error: { code?: string; message?: string }) => error,
  );
}

const jobs = [job("a"), job("a.b")];
const known = await connect(defineApp({ name: "joined", jobs }), {
  databaseUrl: url,
  log: silentLogger,
});
await known.close();

describe("queue, kind and version, joined by spaces", () => {
  test("no queue and no kind holds a space, in code and in SQL: (a b, c) is not (a, b c)", async () => {
    expect(() => defineApp({ queues: { "a b": {} } })).toThrow(/queue's name/);
    expect(() => job("b c")).toThrow(/job "b c": expected `name`/);
    for (const kind of ["b c", "b\tc", "b 1"]) {
      expect(
        await failure("select pawl.enqueue($1)", [JSON.stringify([{ kind, queue: "low" }])]),
      ).toMatchObject({ code: "PW010" });
    }
    for (const type of ["a b", "a:b"]) {
      const bad = () =>
        defineDestinationType({
          type,
          label: "l",
          fields: {},
          define: () => ({ type, config: {}, timeoutMs: 1, deliver: async () => ({}) }),
        });
      expect(bad).toThrow(/`type`/);
    }
  });

  test("a queue, a version or a priority that is empty is not the one that is left out", async () => {
    for (const field of ["queue", "version", "priority"]) {
      const tasks = [
        { kind: "k", queue: "low" },
        { kind: "k", queue: "low", [field]: "" },
      ];
      const error = await failure("select pawl.enqueue($1)", [JSON.stringify(tasks)]);
      expect(error.code, field).toMatch(/^PW01[03]$/);
    }
  });
});

test("a kind and a key: (a, b c) is taken, (a b, c) cannot be, and the longest of both fit the index", async () => {
  const enqueue = async (tasks: object[]) =>
    (await client.query("select outcome from pawl.enqueue($1)", [JSON.stringify(tasks)])).rows.map(
      (row) => row.outcome,
    );
  expect(
    await enqueue([
      { kind: "a", key: "b c" },
      { kind: "a", key: "b" },
      { kind: "a.b", key: "c" },
    ]),
  ).toEqual(["created", "created", "created"]);
  const odd = (length: number) =>
    Array.from({ length }, (_, i) => String.fromCodePoint(0x1f300 + ((i * 7_919) % 700))).join("");
  expect(
    await failure("select pawl.enqueue($1)", [
      JSON.stringify([{ kind: odd(200), queue: "low", key: odd(500) }]),
    ]),
  ).toMatchObject({ code: "PW010" });
  expect(await enqueue([{ kind: odd(150), queue: "low", key: odd(500) }])).toEqual(["created"]);
});

test("the lanes of aggregates: a colon or a %3A in the type makes another one, and so does the end of a long one", async () => {
  const long = "x".repeat(300);
  const pairs = [
    ["shop:eu", "42"],
    ["shop", "eu:42"],
    ["shop%3Aeu", "42"],
    ["shop%253Aeu", "42"],
    [long, `${long}1`],
    [long, `${long}2`],
    ["", "a:b"],
    ["a", "b"],
    [":", "b"],
  ];
  const lanes = await client.query(
    "select pawl.lane_of(p ->> 0, p ->> 1) as lane from jsonb_array_elements($1::jsonb) p",
    [JSON.stringify(pairs)],
  );
  expect(new Set(lanes.rows.map((row) => row.lane)).size).toBe(pairs.length);
});

test("advisory locks and the channel: those of one schema are not those of another in the same database", async () => {
  const other = openStore({ url, schema: "other", max: 1, log: silentLogger });
  onTestFinished(() => other.close());
  await migrate(other);
  const { rows } = await client.query(`
    select pawl.worker_locks() <> other.worker_locks() as workers, pawl.gate_lock() <> other.gate_lock() as gate,
           pawl.batch_lock() <> other.batch_lock() as batches`);
  expect(rows).toEqual([{ workers: true, gate: true, batches: true }]);
  // a turn of worker 1 here holds up no rescue of worker 1 there
  await client.query("begin");
  await client.query("select pg_advisory_xact_lock_shared(pawl.worker_locks(), 1)");
  expect(await other.rows("select pg_try_advisory_lock(pawl.worker_locks(), 1) as free")).toEqual([
    { free: true },
  ]);
  await client.query("rollback");
});

test("sealed values: what is sealed for a key's name opens for no destination of that name, and no id of a key holds a colon", () => {
  vi.stubEnv("PAWL_SECRET_KEY", `a:${randomBytes(32).toString("base64")}`);
  onTestFinished(() => void vi.unstubAllEnvs());
  const one = seal("hunter2", "key:erp");
  expect(() => unseal({ ...one, context: "destination:erp" })).toThrow(/altered/);
  expect(() => refuseForeignSeals({ secret: one }, "destination:erp")).toThrow(/key:erp/);
  // a : b:erp  and  a:b : erp  would be authenticated alike
  const two = seal("hunter2", "b:erp");
  expect(() => unseal({ sealed: two.sealed.replace("v1:a:", "v1:a:b:"), context: "erp" })).toThrow(
    /form/,
  );
});

test("keys of JWTs: the algorithm before the text is one of four", () => {
  const text = `HS256 ${"k".repeat(64)}`;
  const [whole, rest] = [
    signingKey(text, "HS512", "a"),
    signingKey(text.slice("HS256 ".length), "HS256", "a"),
  ];
  expect(whole.export()).toEqual(Buffer.from(text));
  expect(rest.export()).toEqual(Buffer.from("k".repeat(64)));
});

test("a signed webhook: an id with a full stop could give a part of itself to the time, and is not signed", () => {
  const secrets = [generateWebhookSecret()];
  for (const id of ["evt.1750000000", "", "a b", "é"]) {
    expect(() => signWebhook({ id, timestampS: 1, body: "{}", secrets })).toThrow(/full stop/);
  }
  expect(() => signWebhook({ id: "evt", timestampS: 1.5, body: "{}", secrets })).toThrow(
    /whole seconds/,
  );
});

test("credentials: a colon in a proxy's user, or a zero in a broker's, would move a part of it into the password", () => {
  expect(() => openSender({ proxy: "http://a%3Ab:c@proxy.example" })).toThrow(/http\.proxy/);
  openSender({ proxy: "http://a:b%3Ac@proxy.example" });
  expect(() => rabbitmq({ url: "amqp://a%00b:c@broker.example", queue: "q" })).toThrow(/zero/);
});

test("a file that holds a queue on this host: queue-destination-erp is a destination, and no queue is named so", async () => {
  expect(() => defineApp({ queues: { "destination-erp": {} } })).toThrow(
    /queue-destination-erp\.disabled/,
  );
  expect(() => defineApp({ queues: { "destination:erp": {} } })).toThrow(/queue's name/);
  expect(await localSwitches({ PAWL_OFF: "queue:all" }).read()).toEqual(["queue:all"]);
});

test("a scope is told by what stands before its first colon: a queue named `all` is not all", async () => {
  const app = defineApp({ name: "joined", queues: { all: {} }, jobs });
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  onTestFinished(() => pawl.close());
  await pawl.off("queue:all");
  const held = await client.query("select scope, name from pawl.switch order by 1, 2");
  expect(held.rows).toEqual([{ scope: "queue", name: "all" }]);
  expect(await pawl.on("all")).toBe(false);
  expect(await pawl.on("queue:all")).toBe(true);
});
