/** Whose database and whose name: they follow the project, not the folder that one happens to stand in. */

import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import type { App } from "../../src/app/parts.ts";
import { newFolder, PAWL, pawl } from "../cli/cli.ts";
import { freshDatabase } from "../support/database.ts";

function project(name: string | undefined, config?: string): string {
  const root = newFolder();
  writeFileSync(path.join(root, "package.json"), JSON.stringify({ name, type: "module" }));
  mkdirSync(path.join(root, "deep/er"), { recursive: true });
  if (config !== undefined) writeFileSync(path.join(root, "pawl.config.js"), config);
  return root;
}

const config = `import { defineApp } from ${JSON.stringify(PAWL)};\nexport default defineApp({});\n`;

test("R112: in production nothing starts an empty embedded database unless it is named", async () => {
  const cwd = project("shop", config);
  const env = { NODE_ENV: "production" };
  for (const args of [["work", "--once"], ["migrate"], ["stats"]]) {
    const refused = await pawl(args, { cwd, env });
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain("DATABASE_URL: not set, and NODE_ENV is production");
  }
  const status = await pawl(["db", "status", "--json"], { cwd, env });
  expect(JSON.parse(status.stdout)).toMatchObject({ running: false });
});

test("the embedded server's folder is the project's, wherever in it one stands", async () => {
  const root = project("shop", config);
  const deep = project("shop", config);
  const bare = project("shop");
  for (const [cwd, home] of [
    [root, root],
    [path.join(deep, "deep/er"), deep],
    [path.join(bare, "deep"), bare],
  ] as const) {
    const { stdout } = await pawl(["db", "status", "--json"], { cwd });
    expect(JSON.parse(stdout).dataDir).toBe(path.join(home, ".pawl/data"));
  }
});

test("an app without a name has that of the package whose file defines it", async () => {
  for (const [name, expected] of [
    ["shop", "shop"],
    ["@acme/shop", "acme.shop"],
    [undefined, "app"],
    ["w".repeat(100), "app"],
  ] as const) {
    const file = path.join(project(name), "deep/app.js");
    writeFileSync(file, config);
    const { default: app } = (await import(pathToFileURL(file).href)) as { default: App };
    expect(app.name).toBe(expected);
  }
});

test("stats, why and dead list answer beside a config that cannot be loaded, and say so", async () => {
  const cwd = project("shop", "export default { broken(;\n");
  const { url } = await freshDatabase();
  for (const args of [["stats"], ["why", "42"], ["dead", "list"]]) {
    const answer = await pawl(args, { cwd, url });
    expect(answer.stderr).toMatch(
      /pawl\.config\.js: loading it failed: [\s\S]*going on with schema "pawl"/,
    );
    if (args[0] !== "why") expect(answer.code).toBe(0);
  }
  const changing = await pawl(["off", "all", "--why", "test"], { cwd, url });
  expect(changing).toMatchObject({ code: 1, stderr: expect.not.stringContaining("going on") });
});
