import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { samplesOf } from "../docs/samples.ts";
import { freshDatabase } from "../support/database.ts";
import { ROOT } from "../support/project-files.ts";

/** In the package itself, which finds `pawl` under its own name. */
const FOLDER = join(import.meta.dirname, ".samples");
const CONFIG = `import { defineConfig } from "vitest/config";
export default defineConfig({
  resolve: {
    alias: [
      { find: /^pawl$/, replacement: ${JSON.stringify(join(ROOT, "dist/index.js"))} },
      { find: /^pawl\\/testing$/, replacement: ${JSON.stringify(join(ROOT, "dist/testing/index.js"))} },
    ],
  },
  test: { include: ["*.test.ts"], testTimeout: 600_000, hookTimeout: 600_000, server: { deps: { external: [/dist/] } } },
});
`;
const samples = samplesOf("testing.md", readFileSync(join(ROOT, "docs/testing.md"), "utf8"), "ts");

beforeAll(() => {
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER);
  writeFileSync(join(FOLDER, "vitest.config.ts"), CONFIG);
});

async function run(name: string, code: string, command: readonly string[]) {
  const { url } = await freshDatabase({ longLeases: true });
  writeFileSync(join(FOLDER, name), code);
  const { NODE_ENV: _, VITEST: __, ...env } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, command, {
    cwd: FOLDER,
    encoding: "utf8",
    env: { ...env, DATABASE_URL: url, NO_COLOR: "1" },
  });
  return { status, output: `${stdout}${stderr}` };
}

test("R75: the sample for node:test runs", async () => {
  const code = samples.find((one) => one.code.includes('"node:test"'))?.code ?? "";
  const command = ["--import", "tsx", "--test-reporter=tap", "--test", "remind.test.ts"];
  const { status, output } = await run("remind.test.ts", code, command);
  expect(output).toContain("# pass 1");
  expect(status).toBe(0);
});

test("R75: the sample for Vitest runs", async () => {
  const code = samples.find((one) => one.code.includes('"vitest"'))?.code ?? "";
  const vitest = join(ROOT, "node_modules/vitest/vitest.mjs");
  const { status, output } = await run("place.test.ts", code, [vitest, "run", "place.test.ts"]);
  expect(output).toMatch(/Tests\s+2 passed/);
  expect(status).toBe(0);
});
