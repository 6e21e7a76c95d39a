/**
 * Owns `.results/tests.json`: every test of the last full run with its state, for `npm run requirements`.
 * Invariant: one run writes one file, and a run that left any test file or name out, or that was
 * interrupted, writes `.results/partial.json` instead and leaves the last full result as it was.
 */

import { mkdirSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import type { Reporter, TestCase, TestModule, TestRunEndReason, Vitest } from "vitest/node";

export interface RecordedTest {
  /** The names of the describes and of the test, joined by ` > `. */
  name: string;
  /** Relative to the root, with `/`. */
  file: string;
  state: "passed" | "failed" | "skipped";
}

export interface RecordedRun {
  startedAt: string;
  finishedAt: string;
  reason: TestRunEndReason;
  /** True when some test file or name of the project was left out. */
  filtered: boolean;
  tests: RecordedTest[];
}

export interface ReporterOptions {
  /** Folders whose tests cannot run here, such as `test/compat`: their files count as skipped, not as a filter. */
  skipped?: readonly string[];
}

export class RequirementsReporter implements Reporter {
  readonly #skipped: readonly string[];
  #vitest: Vitest | undefined;
  #startedAt = new Date();

  constructor(options: ReporterOptions = {}) {
    this.#skipped = options.skipped ?? [];
  }

  onInit(vitest: Vitest): void {
    this.#vitest = vitest;
  }

  onTestRunStart(): void {
    this.#startedAt = new Date();
  }

  onTestRunEnd(modules: readonly TestModule[], _errors: unknown, reason: TestRunEndReason): void {
    const vitest = this.#vitest;
    if (vitest === undefined) return;
    const { root } = vitest.config;
    const ran = new Set(modules.map((module) => relativePath(root, module.moduleId)));
    const notRun = testFiles(root).filter((file) => !ran.has(file));
    const isSkipped = (file: string) =>
      this.#skipped.some((folder) => file.startsWith(`${folder}/`));
    const run: RecordedRun = {
      startedAt: this.#startedAt.toISOString(),
      finishedAt: new Date().toISOString(),
      reason,
      // the files on disk decide, not the configuration: a narrower `include` is a filter as well
      filtered:
        vitest.getGlobalTestNamePattern() !== undefined || !notRun.every((file) => isSkipped(file)),
      tests: [
        ...modules.flatMap((module) => recordModule(module, root)),
        ...notRun
          .filter(isSkipped)
          .map((file) => ({ name: file, file, state: "skipped" as const })),
      ],
    };
    const isFull = !run.filtered && reason !== "interrupted";
    writeWhole(join(root, ".results"), isFull ? "tests.json" : "partial.json", run);
  }
}

// biome-ignore lint/style/noDefaultExport: vitest loads a reporter given by its path from the default export only
export default RequirementsReporter;

/** Those of the project: packages bring tests of their own, and samples are written while tests run. */
function testFiles(root: string): string[] {
  return readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" })
    .map((path) => `test/${path.split(sep).join("/")}`)
    .filter((path) => path.endsWith(".test.ts") && !/\/(?:node_modules|\.[^/]+)\//.test(path));
}

function relativePath(root: string, path: string): string {
  return relative(root, path).split(sep).join("/");
}

/** An error outside the tests (an import, a hook of a file or describe) counts as a failed test of its own. */
function recordModule(module: TestModule, root: string): RecordedTest[] {
  const file = relativePath(root, module.moduleId);
  const tests = [...module.children.allTests()].map((test) => recordTest(test, file));
  const suites = [...module.children.allSuites()].filter((suite) => suite.errors().length > 0);
  const broken = suites.map((suite) => suite.fullName);
  if (module.errors().length > 0) broken.push(file);
  return [...tests, ...broken.map((name) => ({ name, file, state: "failed" as const }))];
}

/** A test that never came to run (still pending when the run ended) proves as little as a skipped one. */
function recordTest(test: TestCase, file: string): RecordedTest {
  const { state } = test.result();
  return { name: test.fullName, file, state: state === "pending" ? "skipped" : state };
}

/** Readers see the old file or the new one, never half of one. */
function writeWhole(folder: string, name: string, run: RecordedRun): void {
  mkdirSync(folder, { recursive: true });
  const temporary = join(folder, `${name}.${process.pid}`);
  writeFileSync(temporary, `${JSON.stringify(run, null, 1)}\n`);
  renameSync(temporary, join(folder, name));
}
