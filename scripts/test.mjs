// `npm test`: installs and builds where needed, then runs the tests; arguments go to the runner.
import { spawnSync } from "node:child_process";
import { prepare } from "./install.mjs";
import { installCompat } from "./install-compat.mjs";

prepare();
installCompat(process.argv.slice(2).filter((argument) => !argument.startsWith("-")));
const { status } = spawnSync(
  process.execPath,
  ["node_modules/vitest/vitest.mjs", "run", ...process.argv.slice(2)],
  {
    stdio: "inherit",
  },
);
process.exit(status ?? 1);
