import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { freshDatabase } from "../support/database.ts";

const FILE = "examples/hello/hello.ts";

test("the README shows the example that is run here", async () => {
  const [readme, example] = await Promise.all([
    readFile("README.md", "utf8"),
    readFile(FILE, "utf8"),
  ]);
  expect(readme).toContain(`\`\`\`ts\n${example}\`\`\``);
});

test("R78: the first example enqueues with a business row and runs the task", async () => {
  const { url } = await freshDatabase({ longLeases: true });
  const { stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", FILE], {
    env: { ...process.env, DATABASE_URL: url, PAWL_LOG_LEVEL: "warn" },
    timeout: 300_000,
  });
  expect(stdout).toMatch(/^to ada@example.com, attempt 1, key task-\d+\n$/);
});
