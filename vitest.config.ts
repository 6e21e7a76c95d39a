import { existsSync } from "node:fs";
import path from "node:path";
import { defineConfig } from "vitest/config";
import { LongFirst } from "./test/support/long-first.ts";

/**
 * Where a server is given, the tests ran on the embedded one before. Again run those that send our SQL to it, each
 * function and view at least once, and those of a broker; what drives the same SQL from outside, or harder, does not.
 */
const isServerGiven = (process.env.PAWL_TEST_DATABASE_URL ?? "") !== "";
/** Installed by `npm test`, where the registry answers. */
const notInstalled = existsSync("test/compat/node_modules/.pawl-installed") ? [] : ["test/compat"];
const NOT_AGAIN = [
  "test/tidy.test.ts",
  "test/{app,base,cli,compat,deploy,docs,examples,foreign,options,scripts,secrets,sender,support,testing,webhooks}/**",
  "test/faults/!(stream-race).test.ts",
  "test/requests/*.test.ts",
  "test/store/{embedded*,url-password,sqlstate}.test.ts",
];

export default defineConfig({
  // what the configs of fixtures import; a process of its own takes what is built
  resolve: {
    alias: [
      { find: /^pawl$/, replacement: path.join(import.meta.dirname, "dist/index.js") },
      { find: /^(?:\.\.?\/)+src\/(.*)\.ts$/, replacement: path.join(import.meta.dirname, "dist/$1.js") },
    ],
  },
  test: {
    include: ["test/**/*.test.ts"],
    exclude: [
      "**/node_modules/**",
      "**/.samples/**",
      ...notInstalled.map((folder) => `${folder}/**`),
      ...(isServerGiven ? NOT_AGAIN : []),
    ],
    setupFiles: [
      ...((process.env.PAWL_TEST_SLOW_ANSWERS ?? "") === "" ? [] : ["test/support/slow-answers.mjs"]),
      "test/support/each-file.ts",
    ],
    globalSetup: ["test/support/global-setup.ts"],
    // for every process of a test: a machine that is busy connects slowly
    env: { PGCONNECT_TIMEOUT: "120" },
    testTimeout: 900_000,
    hookTimeout: 900_000,
    teardownTimeout: 60_000,
    // Three fleets of worker processes at once stay below the 100 connections of a default server; ours has more.
    maxWorkers: isServerGiven ? 3 : 4,
    isolate: false,
    sequence: { sequencer: LongFirst },
    passWithNoTests: false,
    // what is built, run by a test in its own process, is Node's to load
    server: { deps: { external: [/\/dist\/.*\.js$/] } },
    reporters: ["default", ["./test/support/requirements-reporter.ts", { skipped: notInstalled }]],
  },
});
