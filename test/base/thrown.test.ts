import { describe, expect, test } from "vitest";
import { errorToJson } from "../../src/base/error-json.ts";
import { PawlError, shown, toError } from "../../src/base/errors.ts";
import { jsonLogger, safeLogger } from "../../src/base/log.ts";
import { cut } from "../../src/base/text-cut.ts";
import { isA, messageOf } from "../../src/base/thrown.ts";
import { translateDatabaseError } from "../../src/store/sqlstate.ts";
import { freshStore } from "../support/database.ts";
import { HOSTILE } from "../support/hostile.ts";

describe("R113: whatever was thrown is readable and bounded:", () => {
  test.each(HOSTILE)("%s", (_, make, text) => {
    const json = errorToJson(make());
    expect(json.message).toContain(text);
    expect(Object.values(json).every((field) => field !== undefined)).toBe(true);
    expect(JSON.stringify(json).length).toBeLessThan(50_000);
    expect(JSON.stringify(json).isWellFormed()).toBe(true);
    expect(messageOf(make())).toContain(text);
    expect(toError(make())).toMatchObject({ message: expect.stringContaining(text) });
    expect(shown(make()).length).toBeLessThanOrEqual(121);
    expect(translateDatabaseError(make())).toBeInstanceOf(PawlError);
    expect(isA(make(), PawlError)).toBe(false);
  });

  test("all of them are stored", async () => {
    const store = await freshStore();
    const all = HOSTILE.map(([, make]) => errorToJson(make()));
    const [row] = await store.rows<{ back: unknown }>("select $1::jsonb as back", [
      JSON.stringify(all),
    ]);
    expect(row?.back).toEqual(all);
  });

  test("an AggregateError keeps the first ten of what it holds, and a cause says all that it has", () => {
    const [, make] = HOSTILE.find(([what]) => what === "an aggregate") ?? [];
    const json = errorToJson(make?.());
    expect(json.code).toBe("ECONNREFUSED");
    expect(json.errors).toHaveLength(10);
    expect(json.errors?.[0]).toEqual({
      name: "Error",
      message: "connect ECONNREFUSED ::1:80",
      code: "ECONNREFUSED",
    });
    const outer = errorToJson(new TypeError("fetch failed", { cause: make?.() }));
    expect(outer.cause).toContain("connect ECONNREFUSED 127.0.0.1:80");
  });

  test("a chain of causes is told as far as the fifth", () => {
    const chain = ["a", "b", "c", "d", "e", "f", "g"].reduceRight<Error | undefined>(
      (cause, name) => new Error(name, { cause }),
      undefined,
    );
    expect(errorToJson(chain).cause).toBe(
      "b; caused by: c; caused by: d; caused by: e; caused by: f",
    );
  });

  test("data without JSON is kept field by field, and empty data not at all", () => {
    const error = Object.assign(new Error("data"), { data: { n: 1n, left: 2 } });
    expect(errorToJson(error).data).toEqual({ n: "1n", left: 2 });
    expect("data" in errorToJson(new PawlError("lease_lost", "lost"))).toBe(false);
  });

  test("a cut never halves a surrogate pair", () => {
    expect(cut("a😀", 2)).toBe("a");
    expect(cut("a😀", 3)).toBe("a😀");
  });
});

describe("R113: a log line", () => {
  test.each(HOSTILE)("about %s is written, as one line of JSON", (_, make) => {
    const lines: string[] = [];
    jsonLogger("info", (line) => lines.push(line)).info({ task: 7, err: make() }, "it failed");
    expect(JSON.parse(lines.join(""))).toMatchObject({ msg: "it failed" });
    expect(lines[0]?.length).toBeLessThan(150_000);
  });

  test("a logger that throws, or whose promise is rejected, stops nobody", async () => {
    const broken = () => {
      throw new Error("disk full");
    };
    const later = () => Promise.reject(new Error("socket closed")) as never;
    const log = safeLogger({ debug: broken, info: later, warn: broken, error: later });
    for (const level of ["debug", "info", "warn", "error"] as const) log[level]({}, "words");
    await new Promise((resolve) => setImmediate(resolve));
  });
});
