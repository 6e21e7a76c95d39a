/** One table of cases through all that says what an event is: TypeScript, SQL, a plain INSERT, and the receivers' verifier. */

import { describe, expect, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp } from "../../src/index.ts";
import { eventVerifier, signWebhook } from "../../src/webhooks/index.ts";
import { atEnd } from "../support/at-end.ts";
import { freshDatabase } from "../support/database.ts";

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const deep = (levels: number) => JSON.parse(`${"[".repeat(levels)}${"]".repeat(levels)}`);

interface Case {
  name?: unknown;
  type?: unknown;
  id?: unknown;
  payload?: unknown;
  meta?: unknown;
}

const GOOD: Case[] = [
  { id: "42" },
  { name: "a".repeat(200), type: "t".repeat(200), id: "i".repeat(500) },
  { type: "😀".repeat(200), id: "😀".repeat(500) },
  { type: "shop:eu", id: " \n%" },
  { name: "pawlish" },
  { payload: deep(500) },
  { payload: null, meta: { a: deep(499) } },
];

const BAD: [string, Case][] = [
  ["a name without characters", { name: "" }],
  ["a name with a space", { name: "a b" }],
  ["a name with a line break at its end", { name: "a.b\n" }],
  ["a name that is too long", { name: "a".repeat(201) }],
  ["an aggregate without a type", { type: "" }],
  ["an aggregate without an id", { id: "" }],
  ["a type that is too long", { type: "t".repeat(201) }],
  ["an id that is too long", { id: "i".repeat(501) }],
  ["an id of too many characters of two units", { id: "😀".repeat(501) }],
  ["a zero byte in an id", { id: "a\0b" }],
  ["meta that is a list", { meta: [1] }],
  ["meta that is a text", { meta: "x" }],
  ["a payload that is too deep", { payload: deep(501) }],
];

/** What no driver can send to SQL: it arrives as another character. */
const BAD_TEXTS: [string, Case][] = [
  ["half an emoji in an id", { id: "😀".slice(0, 1) }],
  ["half an emoji in a type", { type: "😀".slice(1) }],
];

async function places() {
  const { url } = await freshDatabase();
  const pawl = await connect(defineApp({}), { databaseUrl: url, log: silentLogger });
  atEnd(() => pawl.close());
  const verifier = eventVerifier({ secrets: [SECRET] });
  const row = ({ name, type, id, payload, meta }: Case) => [
    name,
    type,
    id,
    JSON.stringify(payload),
    JSON.stringify(meta),
  ];
  return {
    typescript: ({ name, type, id, payload, meta }: Case) =>
      pawl.record(name as string, { aggregate: [type, id] as never, payload, meta: meta as never }),
    sql: (one: Case) => pawl.store.rows("select pawl.record($1, $2, $3, $4, $5)", row(one)),
    insert: (one: Case) =>
      pawl.store.rows(
        `insert into pawl.event (name, aggregate_type, aggregate_id, payload, meta)
         values ($1, $2, $3, $4, $5)`,
        row(one),
      ),
    verifier: async ({ name, type, id, payload, meta }: Case) => {
      const body = JSON.stringify({
        eventId: "e-1",
        eventName: name,
        aggregate: { type, id },
        occurredAt: "2030-01-31T12:00:00Z",
        payload,
        meta,
      });
      const timestampS = Math.floor(Date.now() / 1_000);
      return verifier.verify(body, {
        "webhook-id": "msg_1",
        "webhook-timestamp": String(timestampS),
        "webhook-signature": signWebhook({ id: "msg_1", timestampS, body, secrets: [SECRET] }),
      });
    },
  };
}

const whole = (one: Case): Case => ({
  name: "order.placed.v1",
  type: "order",
  id: "42",
  payload: {},
  meta: {},
  ...one,
});

describe("an event", () => {
  test("R113: is the same in TypeScript, SQL, a plain INSERT and the verifier", async () => {
    const all = Object.entries(await places());
    for (const one of GOOD) {
      for (const [place, take] of all) {
        await expect(
          take(whole(one)),
          `${place} ${JSON.stringify(one).slice(0, 80)}`,
        ).resolves.toBeDefined();
      }
    }
    for (const [what, one] of BAD) {
      for (const [place, take] of all) {
        await expect(take(whole(one)), `${place}: ${what}`).rejects.toThrow();
      }
    }
  });

  test("a text that PostgreSQL cannot store is refused before it is sent, and by the verifier", async () => {
    const { typescript, verifier } = await places();
    for (const [what, one] of BAD_TEXTS) {
      await expect(typescript(whole(one)), what).rejects.toMatchObject({ code: "invalid_option" });
      await expect(verifier(whole(one)), what).rejects.toMatchObject({ reason: "malformed" });
    }
  });

  test("names of Pawl's own events are recorded by nobody else, and verify", async () => {
    const { typescript, sql, verifier } = await places();
    const own = whole({ name: "pawl.delivery.dead" });
    await expect(typescript(own)).rejects.toThrow("as only Pawl's own do");
    await expect(sql(own)).rejects.toThrow("as only Pawl's own do");
    await expect(verifier(own)).resolves.toMatchObject({ eventName: "pawl.delivery.dead" });
  });

  test("an id that is a number has all its digits", async () => {
    const { typescript } = await places();
    for (const id of [Number.NaN, 2 ** 53, 1.5, Number.POSITIVE_INFINITY]) {
      await expect(typescript(whole({ id }))).rejects.toMatchObject({ code: "invalid_option" });
    }
    await expect(typescript(whole({ id: 0 }))).resolves.toBeDefined();
  });
});
