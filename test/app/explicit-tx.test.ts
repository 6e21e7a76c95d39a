import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob, type Pawl } from "../../src/index.ts";
import { freshDatabase } from "../support/database.ts";

const job = defineJob({
  name: "j",
  input: z.object({ n: z.number(), at: z.string() }),
  run: () => undefined,
});
const GOOD = { n: 1, at: "noon" };
const event = { aggregate: ["order", "1"] as const, payload: {} };
let pawl: Pawl;
let pool: pg.Pool;

beforeAll(async () => {
  const { url } = await freshDatabase();
  pool = new pg.Pool({ connectionString: url, max: 1 });
  pawl = await connect(defineApp({ name: "tx", jobs: [job] }), {
    databaseUrl: url,
    migrate: true,
    log: silentLogger,
  });
});

afterAll(async () => {
  await pool.end();
  await pawl.close();
});

test("R112: a `tx` that is there and is none is refused by each call that takes one, and nothing is written", async () => {
  const wrong: [unknown, RegExp][] = [
    [undefined, /it is undefined; leave `tx` out/],
    [null, /it is null/],
    [Promise.resolve({}), /a promise; await it/],

    [pool, /it is a pool/],
    [{}, /no method `query/],
  ];
  for (const [tx, why] of wrong) {
    const options = { tx } as never;
    const calls = [
      () => pawl.enqueue(job, GOOD, options),
      () => pawl.enqueueMany(job, [GOOD, GOOD], options),
      () => pawl.enqueueMany(job, [], options),
      () => pawl.record("order.placed", event, options),
      () => pawl.sendTo("webhook", "erp", "order.placed", event, options),
      () => pawl.request({ url: "https://example.com/" } as never, options),
    ];
    for (const call of calls) {
      const refused = { code: "not_a_transaction", message: expect.stringMatching(why) };
      await expect(call()).rejects.toMatchObject(refused);
    }
  }
  const written = await pawl.store.rows(
    "select id from pawl.task union all select 1 from pawl.event",
  );
  expect(written).toEqual([]);
});

test("R112: a job that is given by its name, or is none, is told what to pass", async () => {
  const given = (one: unknown) => pawl.enqueue(one as never, {} as never);
  await expect(given("j")).rejects.toThrow('job "j" is given by its name; pass the job itself');
  await expect(given("k")).rejects.toThrow('job "k" is not in the app\'s `jobs`');
  await expect(given(undefined)).rejects.toThrow("made by defineJob(...), got undefined");
});

test("R112: every wrong field of an input is named", async () => {
  await expect(pawl.enqueue(job, { n: "1", at: 5 } as never)).rejects.toThrow(/n: .*; at: /);
});
