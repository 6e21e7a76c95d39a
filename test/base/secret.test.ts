import { afterEach, expect, test } from "vitest";
import { PawlError } from "../../src/base/errors.ts";
import { describeSecret, env, isSecretRef, readSecret } from "../../src/base/secret.ts";

const NAME = "PAWL_TEST_SECRET_REF";
afterEach(() => {
  delete process.env[NAME];
});

function failureOf(run: () => unknown): PawlError {
  try {
    run();
  } catch (error) {
    if (error instanceof PawlError) return error;
  }
  throw new Error("no PawlError was thrown");
}

test("a reference holds no value, and its value is read anew at each use", () => {
  const ref = env(NAME);
  process.env[NAME] = "first";
  expect(readSecret(ref, "erp secret")).toBe("first");
  process.env[NAME] = "second";
  expect(readSecret(ref, "erp secret")).toBe("second");
  expect(JSON.stringify(ref)).toBe(`{"env":"${NAME}"}`);
  expect(isSecretRef(ref)).toBe(true);
});

test.each([[undefined], [""]])(
  "the variable %j is refused by its name, with what needs it",
  (value) => {
    if (value !== undefined) process.env[NAME] = value;
    const error = failureOf(() => readSecret(env(NAME), "erp secret"));
    expect(error.code).toBe("invalid_environment");
    expect(error.message).toContain("erp secret");
    expect(error.data).toEqual({ variable: NAME, option: "erp secret" });
  },
);

test("a plain value is itself and is shown as ***", () => {
  expect(readSecret("plain", "x")).toBe("plain");
  expect(describeSecret("plain")).toBe("***");
  expect(describeSecret(env(NAME))).toBe(`env:${NAME}`);
});

test("a secret given in the place of a variable's name is refused and not shown", () => {
  const error = failureOf(() => env("whsec_hunter2/+="));
  expect(error.code).toBe("invalid_option");
  expect(`${error.message}${JSON.stringify(error)}`).not.toContain("hunter2");
});
