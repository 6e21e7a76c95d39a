/** The command line of the example: `node --import tsx leads.ts lead:analyze --async --limit 1`. */

import { parseArgs } from "node:util";
import { connect } from "pawl";
import { ACTIONS, act, seed } from "./actions.ts";
import { client } from "./client.ts";
import app from "./pawl.config.ts";
import { makeTables } from "./tables.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    async: { type: "boolean", default: false },
    limit: { type: "string", default: "100" },
    "dry-run": { type: "boolean", default: false },
  },
});
const [name = ""] = positionals;
const limit = Number(values.limit);
if (name !== "setup" && (ACTIONS[name] === undefined || !Number.isInteger(limit) || limit < 1)) {
  console.error(
    "usage: leads.ts <action> [--async] [--limit <n>] [--dry-run]\n  setup: make the tables, with a few leads",
  );
  for (const [action, { help }] of Object.entries(ACTIONS)) console.error(`  ${action}: ${help}`);
  process.exit(2);
}
const pawl = name === "setup" ? await connect(app, { migrate: true }) : await client();
try {
  if (name === "setup") {
    await makeTables(pawl);
    await seed(pawl);
  } else {
    const options = { async: values.async, limit, dryRun: values["dry-run"] };
    for (const line of await act(pawl, name, options)) console.log(line);
  }
} finally {
  await pawl.close();
}
