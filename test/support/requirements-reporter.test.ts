import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { RecordedRun } from "./requirements-reporter.ts";

const REPORTER = join(import.meta.dirname, "requirements-reporter.ts");
const VITEST = join(import.meta.dirname, "../../node_modules/vitest/vitest.mjs");

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "pawl-reporter-"));
  write("vitest.config.js", "export default { test: { globals: true } };");
  write(
    "test/a.test.ts",
    `describe("a group", () => {
       test("R1: passes", () => {});
       test("R2: fails", () => { throw new Error("as wanted"); });
       test.skip("R3: is skipped", () => {});
     });
     describe("a broken group", () => {
       afterAll(() => { throw new Error("as wanted"); });
       test("passes", () => {});
     });`,
  );
  write("test/deep/b.test.ts", `test("R4: passes elsewhere", () => {});`);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(() => rmSync(join(folder, ".results"), { recursive: true, force: true }));

function write(path: string, text: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
}

function runVitest(...args: string[]): void {
  run("--reporter", REPORTER, ...args);
}

function run(...args: string[]): void {
  const outer = Object.entries(process.env).filter(([name]) => !name.startsWith("VITEST"));
  spawnSync(process.execPath, [VITEST, "run", "--root", folder, "--maxWorkers", "1", ...args], {
    cwd: folder,
    env: { ...Object.fromEntries(outer), NODE_ENV: "test" },
    encoding: "utf8",
  });
}

function result(name: "tests" | "partial"): RecordedRun | undefined {
  const path = join(folder, ".results", `${name}.json`);
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : undefined;
}

test("a full run leaves each test with its full name, file and state", () => {
  runVitest();
  const run = result("tests");
  expect(run).toMatchObject({ filtered: false, reason: "failed" });
  expect(run?.tests.toSorted((a, b) => (a.name < b.name ? -1 : 1))).toEqual([
    { name: "R4: passes elsewhere", file: "test/deep/b.test.ts", state: "passed" },
    { name: "a broken group", file: "test/a.test.ts", state: "failed" },
    { name: "a broken group > passes", file: "test/a.test.ts", state: "passed" },
    { name: "a group > R1: passes", file: "test/a.test.ts", state: "passed" },
    { name: "a group > R2: fails", file: "test/a.test.ts", state: "failed" },
    { name: "a group > R3: is skipped", file: "test/a.test.ts", state: "skipped" },
  ]);
  expect(result("partial")).toBeUndefined();
});

test("a run that leaves a file out is not taken for a full one", () => {
  runVitest("deep/b");
  expect(result("tests")).toBeUndefined();
  expect(result("partial")).toMatchObject({ filtered: true, tests: [{ state: "passed" }] });
});

test("a run that leaves names out is not taken for a full one", () => {
  runVitest("-t", "R1");
  expect(result("tests")).toBeUndefined();
  expect(result("partial")?.filtered).toBe(true);
});

test("a configuration that includes fewer files is not taken for a full run", () => {
  write("narrow.config.js", 'export default { test: { globals: true, include: ["test/a*"] } };');
  runVitest("--config", "narrow.config.js");
  expect(result("tests")).toBeUndefined();
  expect(result("partial")?.filtered).toBe(true);
});

test("tests that a package brings, and samples that tests write, are no files that were left out", () => {
  write("test/compat/node_modules/driver/src/own.test.ts", "");
  write("test/compat/.samples/made.test.ts", "");
  runVitest();
  expect(result("tests")).toMatchObject({ filtered: false });
});

test("a folder whose packages could not be installed counts as skipped, and the run is a full one", () => {
  write("test/compat/a.test.ts", 'import "a package that is not here";');
  write(
    "without.config.js",
    `export default { test: {
       globals: true,
       exclude: ["**/node_modules/**", "test/compat/**"],
       reporters: [[${JSON.stringify(REPORTER)}, { skipped: ["test/compat"] }]],
     } };`,
  );
  run("--config", "without.config.js");
  const { filtered, tests } = result("tests") ?? {};
  expect(filtered).toBe(false);
  expect(tests?.filter((one) => one.file.startsWith("test/compat"))).toEqual([
    { name: "test/compat/a.test.ts", file: "test/compat/a.test.ts", state: "skipped" },
  ]);
});
