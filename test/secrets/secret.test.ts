import { mkdtempSync, rmSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, expect, test } from "vitest";
import { PawlError } from "../../src/base/errors.ts";
import { seal } from "../../src/secrets/seal.ts";
import {
  describeSecret,
  env,
  file,
  isSecretRef,
  parseSecretRef,
  readSecret,
} from "../../src/secrets/secret.ts";

const NAME = "PAWL_TEST_SECRET_REF";
const folder = mkdtempSync(join(tmpdir(), "pawl-secret-"));
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => {
  delete process.env[NAME];
  delete process.env.PAWL_SECRET_KEY;
});

function failureOf(run: () => unknown): PawlError {
  try {
    run();
  } catch (error) {
    if (error instanceof PawlError) return error;
  }
  throw new Error("no PawlError was thrown");
}

function written(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

test("R94: a reference holds no value, and its value is read anew at each use", () => {
  const ref = env(NAME);
  process.env[NAME] = "first";
  expect(readSecret(ref, "erp secret")).toBe("first");
  process.env[NAME] = "second";
  expect(readSecret(ref, "erp secret")).toBe("second");
  expect(JSON.stringify(ref)).toBe(`{"env":"${NAME}"}`);
  expect(isSecretRef(ref)).toBe(true);
});

test.each([[undefined], [""]])(
  "R94: the variable %j is refused by its name, with what needs it",
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

test("R94: a secret given in the place of a variable's name or a path is refused and not shown", () => {
  for (const run of [
    () => env("whsec_hunter2/+="),
    () => file("whsec_hunter2/+="),
    () => file("-----BEGIN PRIVATE KEY-----\nhunter2"),
    () => file(`/${"hunter2".repeat(1_000)}`),
    () => parseSecretRef("file:hunter2"),
    () => parseSecretRef("env:hunter2+="),
  ]) {
    const error = failureOf(run);
    expect(error.code).toBe("invalid_option");
    expect(`${error.message}${JSON.stringify(error)}`).not.toContain("hunter2");
  }
});

test.each([
  ["secret", "secret"],
  ["secret\n", "secret"],
  ["secret\r\n", "secret"],
  ["secret\n\n", "secret\n"],
  ["a\nb\n", "a\nb"],
  [" secret ", " secret "],
])("R94: of the file %j one line break at the end goes, and nothing else", (content, value) => {
  expect(readSecret(file(written("trimmed", content)), "x")).toBe(value);
});

test("R94: a file that is rewritten or replaced counts at the next use, though its size and times are the same", () => {
  const path = written("rotated", "first");
  expect(readSecret(file(path), "x")).toBe("first");
  writeFileSync(path, "other");
  expect(readSecret(file(path), "x")).toBe("other");

  const hour = new Date(Date.now() - 3_600_000);
  utimesSync(path, hour, hour);
  expect(readSecret(file(path), "x")).toBe("other");
  writeFileSync(path, "third");
  utimesSync(path, hour, hour);
  expect(readSecret(file(path), "x")).toBe("third");
});

test("R94: a file that changes faster than its times can tell is never read stale", () => {
  for (let i = 100; i < 300; i += 1) {
    const path = written("fast", `value-${i}`);
    expect(readSecret(file(path), "x")).toBe(`value-${i}`);
  }
});

test("R94: a link that is turned to another file, as Kubernetes does, counts at the next use", () => {
  const link = join(folder, "link");
  symlinkSync(written("v1", "first"), link);
  expect(readSecret(file(link), "x")).toBe("first");
  const next = written("v2", "other");
  unlinkSync(link);
  symlinkSync(next, link);
  expect(readSecret(file(link), "x")).toBe("other");
});

test.each([
  ["missing", () => join(folder, "nobody"), "ENOENT"],
  ["a folder", () => folder, "is not a file"],
  ["empty", () => written("empty", ""), "is empty"],
  ["only a line break", () => written("newline", "\n"), "is empty"],
  ["too large", () => written("large", Buffer.alloc(65_537, 97)), "65536"],
])("R94: a file that is %s is refused by its path, with what needs it", (_name, path, words) => {
  const error = failureOf(() => readSecret(file(path()), "erp secret"));
  expect(error.code).toBe("invalid_environment");
  expect(error.message).toContain(words);
  expect(error.message).toContain("erp secret");
  expect(error.data).toEqual({ file: path(), option: "erp secret" });
});

test("R94: a reference typed as text is read, and anything else is not taken for one", () => {
  expect(parseSecretRef("env:ERP")).toEqual({ env: "ERP" });
  expect(parseSecretRef("file:/run/secrets/erp")).toEqual({ file: "/run/secrets/erp" });
  expect(parseSecretRef("whsec_abc")).toBeUndefined();
  expect(describeSecret(file("/run/secrets/erp"))).toBe("file:/run/secrets/erp");
});

test("R94: a sealed value is read like any other reference, and is shown as stored", () => {
  process.env.PAWL_SECRET_KEY = Buffer.alloc(32, 1).toString("base64");
  const sealed = JSON.parse(JSON.stringify(seal("hunter2", "destination:erp")));
  expect(isSecretRef(sealed)).toBe(true);
  expect(readSecret(sealed, "erp secret")).toBe("hunter2");
  expect(describeSecret(sealed)).toBe("stored");
});

test.each([
  [null],
  [undefined],
  [1],
  ["env:A"],
  [{}],
  [{ env: 1 }],
  [{ env: "A", file: "/b" }],
  [{ env: "A", other: 1 }],
  [{ sealed: "v1:a:b:c" }],
  [["A"]],
])("%j is no reference", (value) => {
  expect(isSecretRef(value)).toBe(false);
});
