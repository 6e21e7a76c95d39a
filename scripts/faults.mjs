// `npm run faults`: the random races of the tests in their full size; `npm test` runs them smaller. Arguments go to the runner.
import { spawnSync } from "node:child_process";

const RACES = ["test/faults", "test/inbox/rate.test.ts", "test/process/deploy.test.ts"];
const { status } = spawnSync(
  process.execPath,
  ["scripts/test.mjs", ...RACES, ...process.argv.slice(2)],
  { stdio: "inherit", env: { ...process.env, PAWL_FAULTS: "full" } },
);
process.exit(status ?? 1);
