// Installs and builds when something is missing or has changed: what `npm start` and `npm test` do first.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const STAMP = "node_modules/.pawl-installed";

/** Everything that is said goes to stderr: stdout belongs to the command. */
export function prepare() {
  checkNode();
  const wanted = createHash("sha256").update(readFileSync("package-lock.json")).digest("hex");
  if (!existsSync(STAMP) || readFileSync(STAMP, "utf8") !== wanted) {
    console.error("installing …");
    // --include: NODE_ENV=production would leave the build tools out
    run("npm", ["ci", "--include=dev", "--include=optional", "--no-fund", "--no-audit"]);
    writeFileSync(STAMP, wanted);
  }
  if (!existsSync("dist/cli/main.js") || newest("src") > statSync("dist/cli/main.js").mtimeMs) {
    console.error("building …");
    run(process.execPath, ["scripts/build.mjs"]);
  }
}

function checkNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  console.error(`Node ${process.versions.node} is too old; Pawl needs 20.19 or newer`);
  process.exit(2);
}

function run(command, args) {
  const shell = process.platform === "win32" && command === "npm";
  const { status, error } = spawnSync(command, args, { stdio: ["ignore", 2, 2], shell });
  if (status === 0) return;
  console.error(`${command} ${args.join(" ")} failed${error ? `: ${error.message}` : ""}`);
  process.exit(status ?? 1);
}

function newest(folder) {
  const times = readdirSync(folder, { recursive: true }).map(
    (name) => statSync(join(folder, name)).mtimeMs,
  );
  return Math.max(...times);
}
