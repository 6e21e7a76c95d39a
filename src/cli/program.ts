/** The tree of commands with the options that all of them share. */

import { Command, Help, type Option } from "commander";
import { nounsOf } from "../app/nouns.ts";
import type { AppPart } from "../app/parts.ts";
import { EXIT } from "../base/error-codes.ts";
import { VERSION } from "../base/version.ts";
import { dbCommand } from "./db.ts";
import { healthCommand } from "./health.ts";
import { helpCommand } from "./help.ts";
import { once } from "./inputs.ts";
import { migrateCommand } from "./migrate.ts";
import { usageError } from "./usage.ts";
import { commandsOf } from "./verbs.ts";
import { workCommand } from "./work.ts";

const AFTER_HELP = `
Exit codes:
  ${EXIT.ok}  done
  ${EXIT.failed}  the work or the app's own code failed
  ${EXIT.usage}  the input was refused, nothing was changed
  ${EXIT.notFound}  the thing asked for does not exist
  ${EXIT.database}  the database cannot be reached or used

Environment:
  DATABASE_URL          the PostgreSQL to use; "embedded", or without it outside production:
                        the embedded one, its data in .pawl/ of the project
  PAWL_CONFIG           the config file, as --config
  PAWL_DIR              the folder of the embedded PostgreSQL, default .pawl in the project
  PAWL_POSTGRES_BIN     the only folder where the embedded one looks for its programs
  PAWL_SECRET_KEY       the key that seals secrets typed in by operators, id:base64,…
  PAWL_SECRET_KEY_FILE  a file that holds the same
  PAWL_REQUESTS_LIMIT   for the app: requests sent at the same time, over all workers
  PAWL_OFF              for workers: what may not start on this host, "all" or "queue:low,queue:high"
  PAWL_LOCKS_DIR        for workers: the folder of files that do the same, default locks
  PAWL_HEALTH_PORT      for workers and pawl health: as --health-port
  PAWL_LOG_LEVEL        trace, debug, info, warn, error or silent; overridden by -v, -vv and -vvv`;

export function program(parts?: readonly AppPart[]): Command {
  const root = new Command("pawl")
    .description("Durable integration work on PostgreSQL: jobs, events and their deliveries.")
    .version(VERSION, "-V, --version", "print the version")
    .option(
      "--config <file>",
      "the app's config (default: the nearest pawl.config.ts of this project)",
      once("--config"),
    )
    .option("--json", "print the result, or the error, as one JSON document on stdout")
    .option(
      "-v, --verbose",
      "log more on stderr: -v info, -vv debug, -vvv each statement sent to the database",
      countUp,
      0,
    )
    .addHelpText("after", AFTER_HELP);
  const commands = [
    migrateCommand(),
    workCommand(),
    healthCommand(),
    ...nounsOf(parts).flatMap((noun) => commandsOf(noun)),
    dbCommand(),
    helpCommand(root),
  ];
  for (const command of commands) root.addCommand(command);
  prepare(root);
  return root;
}

/** Commander itself never ends the process and prints no error: errors are thrown, and printed in one place. */
function prepare(command: Command): void {
  command
    .configureHelp({ showGlobalOptions: true, optionDescription })
    .configureOutput({ writeErr: () => undefined, outputError: () => undefined })
    .exitOverride((error) => {
      throw error.exitCode === 0 ? error : usageError(error, command);
    });
  for (const one of command.commands) prepare(one);
}

function optionDescription(option: Option): string {
  return `${new Help().optionDescription(option)}${option.mandatory ? "; required" : ""}`;
}

function countUp(_value: string, before: number): number {
  return before + 1;
}
