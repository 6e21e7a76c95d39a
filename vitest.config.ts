import path from "node:path";
import { defineConfig } from "vitest/config";

export default defineConfig({
  // what the configs of fixtures import; a process of its own takes what is built
  resolve: { alias: [{ find: /^pawl$/, replacement: path.join(import.meta.dirname, "src/index.ts") }] },
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/global-setup.ts"],
    testTimeout: 400_000,
    hookTimeout: 400_000,
    teardownTimeout: 60_000,
    // Three fleets of worker processes at once stay below the 100 connections of a default server; ours has more.
    maxWorkers: (process.env.PAWL_TEST_DATABASE_URL ?? "") === "" ? 4 : 3,
    passWithNoTests: false,
    reporters: ["default", "./test/support/requirements-reporter.ts"],
  },
});
