import path from "node:path";
import { defineConfig } from "vitest/config";

/** Where a server is given, the tests ran on the embedded one before: only what touches a database or a broker runs again. */
const isServerGiven = (process.env.PAWL_TEST_DATABASE_URL ?? "") !== "";
const WITHOUT_DATABASE = [
  "test/tidy.test.ts",
  "test/{base,docs,options,scripts,secrets,sender,support}/**",
  "test/requests/*.test.ts",
  "test/store/{embedded*,url-password,sqlstate}.test.ts",
  "test/app/{project-place,config-owner}.test.ts",
  "test/cli/{help,usage,table,values,db}.test.ts",
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
    exclude: isServerGiven ? WITHOUT_DATABASE : [],
    setupFiles: ["test/support/each-file.ts"],
    globalSetup: ["test/support/global-setup.ts"],
    // for every process of a test: a machine that is busy connects slowly
    env: { PGCONNECT_TIMEOUT: "120" },
    testTimeout: 900_000,
    hookTimeout: 900_000,
    teardownTimeout: 60_000,
    // Three fleets of worker processes at once stay below the 100 connections of a default server; ours has more.
    maxWorkers: isServerGiven ? 3 : 4,
    isolate: false,
    passWithNoTests: false,
    // what is built, run by a test in its own process, is Node's to load
    server: { deps: { external: [/\/dist\/.*\.js$/] } },
    reporters: ["default", "./test/support/requirements-reporter.ts"],
  },
});
