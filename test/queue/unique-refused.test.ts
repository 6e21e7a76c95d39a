import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob, type Pawl } from "../../src/index.ts";
import { freshDatabase } from "../support/database.ts";

let pawl: Pawl;
/** Of each call its own. */
let account = "a";

const options = {
  input: z.object({ account: z.string(), n: z.number() }),
  key: (input: { account: string }) => input.account,
  run: () => undefined,
};
const plain = defineJob({ ...options, name: "plain" });
const quiet = defineJob({ ...options, name: "quiet", unique: { debounce: "5s", max: "12s" } });

beforeAll(async () => {
  const { url } = await freshDatabase();
  pawl = await connect(defineApp({ jobs: [plain, quiet] }), {
    databaseUrl: url,
    log: silentLogger,
  });
});
afterAll(() => pawl.close());

describe("from SQL, and what is refused", () => {
  const sql = async (unique: unknown, more: object = {}) => {
    const task = { kind: "plain", key: account, unique, payload: { account, n: 1 }, ...more };
    const [row] = await pawl.store.rows<{ id: string; outcome: string }>(
      "select id::text, outcome from pawl.enqueue($1::text::jsonb)",
      [JSON.stringify([task])],
    );
    return row;
  };

  test("R70b: the same from SQL, beside tasks without it", async () => {
    for (const [mode, outcome] of [
      [{ for_ms: 1_000 }, "duplicate"],
      [{ debounce_ms: 5_000 }, "debounced"],
      [{ replace: true }, "replaced"],
      [null, "duplicate"],
    ] as const) {
      account = `${account}x`;
      expect((await sql(mode))?.outcome).toBe("created");
      expect((await sql(mode))?.outcome).toBe(outcome);
    }
  });

  test.each([
    [{}, "it is an object with one of for_ms, replace and debounce_ms"],
    ["for", "it is an object with one of for_ms, replace and debounce_ms"],
    [{ for_ms: 1, replace: true }, "it is an object with one of"],
    [{ for_ms: 0 }, "for_ms is 1 to"],
    [{ for_ms: null }, "for_ms is 1 to"],
    [{ replace: false }, "replace is true"],
    [{ debounce_ms: 1, debounce_max_ms: "x" }, "debounce_max_ms is milliseconds"],
    [{ replace: true, debounce_max_ms: 1 }, "beside debounce_ms"],
  ])("R112: SQL refuses %j before anything is written", async (mode, rule) => {
    await expect(sql(mode)).rejects.toThrow(rule);
    await expect(sql({ replace: true }, { key: null })).rejects.toThrow("the task needs a key");
    await expect(sql({ debounce_ms: 1 }, { delay_ms: 1 })).rejects.toThrow(
      "no run_at and no delay_ms",
    );
  });

  test("R112: code refuses the same, naming the option", async () => {
    const define = (unique: never) => () => defineJob({ ...options, name: "bad", unique });
    for (const unique of [{}, { for: "1m", replace: true }, { replace: false }, { max: "1m" }])
      expect(define(unique as never)).toThrow("expected `unique` to be one of { for:");
    expect(define({ debounce: 0 } as never)).toThrow("unique.debounce");
    expect(define({ debounce: "4s", max: "1s" } as never)).toThrow(
      "expected `unique` to be `max` at least as long as `debounce`",
    );
    expect(define({ fro: "1m" } as never)).toThrow("no option `fro`");
    const { key: _, ...keyless } = options;
    expect(() => defineJob({ ...keyless, name: "bad", unique: { for: "1m" } })).toThrow(
      "without a key",
    );
    await expect(pawl.enqueue(quiet, { account, n: 1 }, { delay: "1s" })).rejects.toThrow(
      "as `debounce` says when it starts",
    );
    await expect(
      pawl.enqueue(plain, { account, n: 1 }, { unique: { replace: true }, key: `${account} too` }),
    ).resolves.toMatchObject({ outcome: "created" });
  });

  test("types: one mode at a time", () => {
    // @ts-expect-error a time and replacing exclude each other
    const both: Parameters<typeof defineJob>[0]["unique"] = { for: "1m", replace: true };
    // @ts-expect-error `max` is of `debounce`
    const max: Parameters<typeof defineJob>[0]["unique"] = { replace: true, max: "1m" };
    expect([both, max]).toHaveLength(2);
  });
});
