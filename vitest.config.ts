import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/global-setup.ts"],
    testTimeout: 180_000,
    hookTimeout: 180_000,
    // Three fleets of worker processes at once stay below the 100 connections of a default server.
    maxWorkers: 3,
    passWithNoTests: false,
    reporters: ["default", "./test/support/requirements-reporter.ts"],
  },
});
