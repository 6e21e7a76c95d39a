import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { RecordedRun, RecordedTest } from "../support/requirements-reporter.ts";

const SCRIPT = join(import.meta.dirname, "../../scripts/requirements.mjs");
const DOC = `# Requirements
## First
- **R1** one
- **R2a** two, its first half
## Second
- **R10** ten
`;

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "pawl-requirements-"));
  write("docs/requirements.md", DOC);
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

function write(path: string, text: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
}

function writeRun(tests: Omit<RecordedTest, "file">[], filtered = false): void {
  write(".results/tests.json", runOf(tests, filtered));
}

function runOf(tests: Omit<RecordedTest, "file">[], filtered = false): string {
  const now = new Date().toISOString();
  const run: RecordedRun = {
    startedAt: now,
    finishedAt: now,
    reason: "passed",
    filtered,
    tests: tests.map((one) => ({ ...one, file: "test/a.test.ts" })),
  };
  return JSON.stringify(run);
}

function requirements(...args: string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT, ...args], {
    cwd: folder,
    encoding: "utf8",
  });
  return { code: status, out: stdout, err: stderr };
}

describe("the list of proved requirements", () => {
  test("a line is proved by a passed test that names it, and several lines by one test", () => {
    writeRun([{ name: "the loader > R1, R2a: both halves hold", state: "passed" }]);
    const { code, out } = requirements("--json");
    const tests = ["test/a.test.ts > the loader > R1, R2a: both halves hold"];
    expect(code).toBe(0);
    expect(JSON.parse(out)).toEqual({
      R1: { proved: true, tests },
      R2a: { proved: true, tests },
      R10: { proved: false, tests: [] },
    });
    expect(Object.keys(JSON.parse(out))).toEqual(["R1", "R2a", "R10"]);
  });

  test("one failed test takes the proof away, however many passed", () => {
    writeRun([
      { name: "R1: in the small", state: "passed" },
      { name: "R1: in the large", state: "failed" },
    ]);
    expect(JSON.parse(requirements("--json").out).R1.proved).toBe(false);
    expect(requirements().out).toMatch(/First +0 of 2 proved\n +failed: R1\n +no passed test: R2a/);
  });

  test("a skipped test proves nothing and refutes nothing", () => {
    writeRun([
      { name: "R1: without a broker", state: "skipped" },
      { name: "R2a: without a broker", state: "skipped" },
      { name: "R2a: with the fake broker", state: "passed" },
    ]);
    const { R1, R2a } = JSON.parse(requirements("--json").out);
    expect([R1.proved, R2a.proved]).toEqual([false, true]);
  });

  test("a longer number in a name does not prove the shorter one", () => {
    writeRun([{ name: "R10: ten", state: "passed" }]);
    expect(JSON.parse(requirements("--json").out).R1.tests).toEqual([]);
  });

  test("a number that the document does not have is refused, with the test that names it", () => {
    writeRun([{ name: "R2: the half was forgotten", state: "passed" }]);
    const { code, out, err } = requirements("--json");
    expect(code).toBe(1);
    expect(out).toBe("");
    expect(err).toContain("R2 in test/a.test.ts: R2: the half was forgotten");
  });

  test("the text has a row per part and a total", () => {
    writeRun([{ name: "R10: ten", state: "passed" }]);
    const { out } = requirements();
    expect(out).toMatch(/^First +0 of 2 proved$/m);
    expect(out).toMatch(/^Second +1 of 1 proved$/m);
    expect(out).toMatch(/^total +1 of 3 proved$/m);
  });

  test("the result of a run with a filter is refused, not taken for a full one", () => {
    writeRun([{ name: "R1: one", state: "passed" }], true);
    expect(requirements()).toMatchObject({ code: 1, out: "" });
  });

  test("results that are older than the sources are told on stderr", () => {
    writeRun([]);
    write("src/later.ts", "");
    const inAnHour = Date.now() / 1000 + 3600;
    utimesSync(join(folder, "src/later.ts"), inAnHour, inAnHour);
    expect(requirements("--json").err).toContain("older than 1 source files, such as src");
  });

  test("without results the tests run first, and their output stays off stdout", () => {
    write("made.json", runOf([{ name: "R1: one", state: "passed" }]));
    write(
      "package.json",
      JSON.stringify({ scripts: { test: "node run.cjs" }, name: "sample", private: true }),
    );
    write(
      "run.cjs",
      `const fs = require("node:fs"); console.log("noise of the tests");
       fs.mkdirSync(".results"); fs.copyFileSync("made.json", ".results/tests.json");`,
    );
    const { code, out, err } = requirements("--json");
    expect(err).toContain("running `npm test` first");
    expect(err).toContain("noise of the tests");
    expect(code).toBe(0);
    expect(JSON.parse(out).R1.proved).toBe(true);
  });

  test("tests that leave no result end it with a message", () => {
    write("package.json", JSON.stringify({ scripts: { test: "node --version" }, private: true }));
    const { code, err } = requirements();
    expect(code).toBe(1);
    expect(err).toContain("the tests left no .results/tests.json");
  });
});

describe("the document of requirements", () => {
  const ids = [
    ...readFileSync(join(import.meta.dirname, "../../docs/requirements.md"), "utf8").matchAll(
      /^- \*\*(R\d+[a-z]?)\*\* \S/gm,
    ),
  ].map((match) => match[1]);

  test("has its 124 lines in order, the split ones as a and b", () => {
    const split = new Set([69, 70, 87, 103, 111]);
    const expected = Array.from({ length: 119 }, (_, index) => index + 1).flatMap((number) =>
      split.has(number) ? [`R${number}a`, `R${number}b`] : [`R${number}`],
    );
    expect(ids).toEqual(expected);
    expect(ids).toHaveLength(124);
  });
});
