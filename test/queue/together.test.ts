/** Single calls that come at about the same time travel in one statement: the hazard is that one of them spoils another. */

import { expect, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob, defineProcess, type PawlError } from "../../src/index.ts";
import { atEnd } from "../support/at-end.ts";
import { freshDatabase, openTransaction } from "../support/database.ts";
import { askedOf } from "../support/sent.ts";

const CALLS = 300;
const BYTES_MAX = 2_000;

const input = z.object({ n: z.number(), text: z.string().optional() });
const job = defineJob({ name: "single", input, run: () => undefined });
const keyed = defineJob({ name: "keyed", input, key: ({ n }) => `${n}`, run: () => undefined });
const process = defineProcess({
  name: "single",
  version: 1,
  input,
  steps: (s) => s.wait("word"),
});
const { url } = await freshDatabase();
const app = defineApp({ name: "together", jobs: [job, keyed], processes: [process] });
const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
atEnd(() => pawl.close());

const WAYS = {
  enqueue: (n: number, text?: string) =>
    pawl.enqueue(job, { n, text }, n % 3 === 0 ? { priority: 2 } : {}),
  start: (n: number, text?: string) => pawl.start(process, { n, text }),
};
const numbers = Array.from({ length: CALLS }, (_, n) => n);

const storedOf = async (ids: readonly string[]) => {
  const rows = await pawl.store.rows<{ n: number }>(
    "select (t.payload ->> 'n')::int as n from unnest($1::bigint[]) with ordinality u (id, place) join pawl.task t on t.id = u.id order by u.place",
    [ids],
  );
  return rows.map(({ n }) => n);
};

test.each(Object.entries(WAYS))(
  "R70a: many calls of %s at once share statements, and each is answered with its own task",
  async (_, write) => {
    const asked = askedOf(url);
    const answers = await Promise.all(numbers.map((n) => write(n)));
    expect(asked()).toBeLessThan(CALLS / 10);
    expect(answers.every(({ outcome }) => outcome === "created")).toBe(true);
    expect(await storedOf(answers.map(({ id }) => id))).toEqual(numbers);
  },
);

test.each(Object.entries(WAYS))(
  "one call of %s that the database refuses fails alone, with its own error",
  async (_, write) => {
    await pawl.store.rows(
      "update pawl.setting set value = to_jsonb($1::int) where name = 'payload_bytes_max'",
      [BYTES_MAX],
    );
    const bad = new Set([7, 8, 250]);
    const answers = await Promise.allSettled(
      numbers.map((n) => write(n, bad.has(n) ? "x".repeat(BYTES_MAX) : undefined)),
    );
    const refused = answers.flatMap((one, n) => (one.status === "rejected" ? [n] : []));
    expect(refused).toEqual([...bad]);
    for (const n of bad) {
      const reason = (answers[n] as PromiseRejectedResult).reason as PawlError;
      expect(reason).toMatchObject({ code: "payload_too_large" });
      expect(reason.message).toContain("payload of task no. 1 of the call is");
    }
    const ids = answers.flatMap((one) => (one.status === "fulfilled" ? [one.value.id] : []));
    expect(await storedOf(ids)).toEqual(numbers.filter((n) => !bad.has(n)));
  },
);

test("a call that has to wait for a transaction with its key holds up no other", async () => {
  const other = await openTransaction(url);
  await pawl.enqueue(keyed, { n: 1 }, { tx: other });
  const waits = pawl.enqueue(keyed, { n: 1 });
  const others = await Promise.all([2, 3, 4].map((n) => pawl.enqueue(keyed, { n })));
  expect(others.every(({ outcome }) => outcome === "created")).toBe(true);
  await other.query("commit");
  expect(await waits).toMatchObject({ outcome: "duplicate" });
});
