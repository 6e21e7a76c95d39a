// Installs the libraries that test/compat tests with, where the registry answers; without them those tests are left out.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";

const FOLDER = "test/compat";
const STAMP = `${FOLDER}/node_modules/.pawl-installed`;

/** @param {readonly string[]} files the tests that are asked for; none: all */
export function installCompat(files) {
  if (files.length > 0 && !files.some((file) => FOLDER.startsWith(file) || file.startsWith(FOLDER)))
    return;
  const lock = readFileSync(`${FOLDER}/package-lock.json`, "utf8");
  const wanted = createHash("sha256").update(lock).digest("hex");
  if (existsSync(STAMP) && readFileSync(STAMP, "utf8") === wanted) return;
  rmSync(STAMP, { force: true });
  console.error("installing the libraries of test/compat …");
  const flags = ["--include=dev", "--ignore-scripts", "--prefer-offline", "--fetch-retries=1"];
  const { status } = spawnSync(
    "npm",
    ["ci", ...flags, "--no-fund", "--no-audit", "--loglevel=error"],
    {
      cwd: FOLDER,
      stdio: ["ignore", 2, 2],
      shell: process.platform === "win32",
    },
  );
  if (status === 0) writeFileSync(STAMP, wanted);
  else console.error("skipped: test/compat, whose libraries could not be installed");
}
