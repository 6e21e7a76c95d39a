import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/global-setup.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 4,
    passWithNoTests: false,
    reporters: ["default", "./test/support/requirements-reporter.ts"],
  },
});
