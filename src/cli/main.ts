#!/usr/bin/env node
/** The entry of `pawl`: runs one command and ends the process with its exit code, whatever the app left open. */

import { finishOutput, guardOutput } from "./output.ts";
import { program } from "./program.ts";
import { failed, run } from "./run.ts";

const root = program();
guardOutput();
process.on("uncaughtException", (thrown) => process.exit(failed(root, thrown)));
const exitCode = await run(process.argv.slice(2), root);
await finishOutput();
process.exit(exitCode);
