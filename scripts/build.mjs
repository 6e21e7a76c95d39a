// Builds dist: compiles src and copies the SQL beside the code that reads it.
import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, rmSync } from "node:fs";

rmSync("dist", { recursive: true, force: true });
const tsc = spawnSync(
  process.execPath,
  ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json"],
  {
    stdio: "inherit",
  },
);
if (tsc.status !== 0) process.exit(tsc.status ?? 1);
cpSync("src", "dist", {
  recursive: true,
  filter: (source) => !source.endsWith(".ts"),
});
chmodSync("dist/cli/main.js", 0o755);
