// `npm run bench -- <name>`: installs and builds where needed, then measures Pawl beside its peers.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { prepare } from "./install.mjs";

const STAMP = "bench/node_modules/.pawl-installed";

prepare();
installPeers();
const { main } = await import("../bench/main.mjs");
process.exitCode = await main(process.argv.slice(2));

function installPeers() {
  const wanted = createHash("sha256").update(readFileSync("bench/package-lock.json")).digest("hex");
  if (existsSync(STAMP) && readFileSync(STAMP, "utf8") === wanted) return;
  console.error("installing the peers …");
  const { status } = spawnSync("npm", ["ci", "--no-fund", "--no-audit", "--loglevel=error"], {
    cwd: "bench",
    stdio: ["ignore", 2, 2],
    shell: process.platform === "win32",
  });
  if (status !== 0) process.exit(status ?? 1);
  writeFileSync(STAMP, wanted);
}
