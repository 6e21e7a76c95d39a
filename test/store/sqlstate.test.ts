import { describe, expect, test } from "vitest";
import { PawlError } from "../../src/base/errors.ts";
import { isDataFault, isTransient, translateDatabaseError } from "../../src/store/sqlstate.ts";
import { freshStore } from "../support/database.ts";

const fault = (code: string, message = "why", more = {}) =>
  translateDatabaseError(Object.assign(new Error(message), { code, ...more }));

describe("what a driver threw", () => {
  test.each([
    ["PW001", "lease_lost"],
    ["PW010", "invalid_option"],
    ["PW011", "unknown_kind"],
    ["PW012", "payload_too_large"],
    ["PW013", "unknown_queue"],
    ["08006", "database_unreachable"],
    ["57P01", "database_unreachable"],
    ["53300", "database_unreachable"],
    ["ECONNREFUSED", "database_unreachable"],
    ["ENOTFOUND", "database_unreachable"],
    ["28P01", "database_permission"],
    ["42501", "database_permission"],
    ["42P01", "schema_missing"],
    ["3F000", "schema_missing"],
    ["40P01", "database_error"],
    ["22P02", "database_error"],
  ])("%s becomes %s", (state, code) => {
    expect(fault(state).code).toBe(code);
  });

  test("the message says what happened, the SQLSTATE and what to do; the cause is kept", () => {
    const error = fault("23514", "check failed", { hint: "make it positive", detail: "row 3" });
    expect(error.message).toBe("database: check failed (SQLSTATE 23514); make it positive");
    expect(error.data).toEqual({ sqlstate: "23514", detail: "row 3" });
    expect(error.cause).toMatchObject({ code: "23514" });
    expect(fault("ECONNREFUSED", "connect").message).toContain("DATABASE_URL");
    expect(fault("PW011", 'unknown kind "x"').message).toBe('unknown kind "x"');
  });

  test("an error of Pawl passes unchanged, and anything else becomes one", () => {
    const own = new PawlError("unknown_queue", "no");
    expect(translateDatabaseError(own)).toBe(own);
    for (const thrown of ["text", null, undefined, 5, { code: 7 }]) {
      expect(translateDatabaseError(thrown)).toMatchObject({ code: "database_error" });
    }
  });

  test("values at fault fail again, a deadlock or a lost connection need not", () => {
    for (const state of ["22P02", "22P05", "23505", "54000"]) {
      expect([isDataFault(fault(state)), isTransient(fault(state))]).toEqual([true, false]);
    }
    for (const state of ["40P01", "40001", "55P03", "08006", "57P01"]) {
      expect([isDataFault(fault(state)), isTransient(fault(state))]).toEqual([false, true]);
    }
    for (const state of ["PW010", "42P01", "42501"]) {
      expect([isDataFault(fault(state)), isTransient(fault(state))]).toEqual([false, false]);
    }
  });

  test("each code raised by the SQL functions is translated", async () => {
    const store = await freshStore();
    const rows = await store.rows<{ state: string }>(
      `select distinct m[1] as state from pg_proc p
         join pg_namespace n on n.oid = p.pronamespace and n.nspname = 'pawl'
         cross join lateral regexp_matches(p.prosrc, 'errcode = ''(PW\\d+)''', 'g') m`,
    );
    expect(rows.length).toBeGreaterThanOrEqual(5);
    for (const { state } of rows) expect(fault(state).code).not.toBe("database_error");
  });
});
