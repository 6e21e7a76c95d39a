#!/usr/bin/env node
/** The entry of `pawl`: runs one command and ends the process with its exit code, whatever the app left open. */

import { finishOutput, guardOutput } from "./output.ts";
import { run } from "./run.ts";

guardOutput();
const exitCode = await run(process.argv.slice(2));
await finishOutput();
process.exit(exitCode);
