/** The package as a stranger's app gets it: strict, every declaration checked, and no types of our dependencies installed. */

import { spawnSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { ROOT } from "../support/project-files.ts";

const APP = `
import { connect, defineApp, defineJob, on, webhook } from "pawl";
import * as testing from "pawl/testing";
import * as webhooks from "pawl/webhooks";
import { z } from "zod";
const job = defineJob({ name: "a", input: z.object({ to: z.string() }), run: ({ to }) => to.length });
const pawl = await connect(defineApp({ jobs: [job], routes: [on("order.*").to("erp")], destinations: { erp: webhook({ url: "https://erp.example", secret: "x" }) } }));
await pawl.enqueue(job, { to: "x" });
console.log(testing, webhooks);
`;
const SETTINGS = {
  target: "es2023",
  module: "nodenext",
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  skipLibCheck: false,
  noEmit: true,
  types: ["node"],
};

test("the declarations compile in a strict app without skipLibCheck and without @types/pg", () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), "pawl-strict-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const modules = path.join(folder, "node_modules");
  mkdirSync(path.join(modules, "@types"), { recursive: true });
  cpSync(path.join(ROOT, "dist"), path.join(modules, "pawl/dist"), { recursive: true });
  cpSync(path.join(ROOT, "package.json"), path.join(modules, "pawl/package.json"));
  const { dependencies } = JSON.parse(readFileSync(path.join(ROOT, "package.json"), "utf8"));
  const installed = Object.keys(dependencies).map((name) => name.split("/")[0] ?? name);
  for (const name of [...installed, "zod", "undici-types", "@types/node"])
    symlinkSync(path.join(ROOT, "node_modules", name), path.join(modules, name));
  writeFileSync(path.join(folder, "package.json"), '{"type":"module"}');
  writeFileSync(path.join(folder, "app.ts"), APP);
  writeFileSync(path.join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions: SETTINGS }));
  const tsc = path.join(ROOT, "node_modules/typescript/bin/tsc");
  const { stdout } = spawnSync(process.execPath, [tsc, "-p", folder], { encoding: "utf8" });
  expect(stdout).toBe("");
});

test("each map of the package holds its sources, since these are not in it", () => {
  const files = readdirSync(path.join(ROOT, "dist"), { recursive: true, encoding: "utf8" });
  const maps = files.filter((name) => name.endsWith(".map"));
  expect(maps.length).toBeGreaterThan(0);
  const bare = maps.filter((name) => {
    const { sourcesContent } = JSON.parse(readFileSync(path.join(ROOT, "dist", name), "utf8"));
    return !Array.isArray(sourcesContent) || sourcesContent.length === 0;
  });
  expect(bare).toEqual([]);
});
