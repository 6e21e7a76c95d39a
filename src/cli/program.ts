/** The tree of commands with the options that all of them share. */

import { Command, Help, type Option } from "commander";
import { EXIT } from "../base/error-codes.ts";
import { VERSION } from "../base/version.ts";
import { auditCommand } from "./audit.ts";
import { dbCommand } from "./db.ts";
import { deadCommand } from "./dead.ts";
import { deliveriesCommand } from "./deliveries.ts";
import { destinationsCommand } from "./destinations.ts";
import { eventsCommand } from "./events.ts";
import { helpCommand } from "./help.ts";
import { inboxCommand } from "./inbox.ts";
import { keysCommand } from "./keys.ts";
import { migrateCommand } from "./migrate.ts";
import { offCommand, onCommand } from "./off.ts";
import { pruneCommand } from "./prune.ts";
import { queuesCommand } from "./queues.ts";
import { requestsCommand } from "./requests.ts";
import { routesCommand } from "./routes.ts";
import { sourcesCommand } from "./sources.ts";
import { statsCommand } from "./stats.ts";
import { stopWorkersCommand } from "./stop-workers.ts";
import { tasksCommand } from "./tasks.ts";
import { usageError } from "./usage.ts";
import { whyCommand } from "./why.ts";
import { workCommand } from "./work.ts";

const AFTER_HELP = `
Exit codes:
  ${EXIT.ok}  done
  ${EXIT.failed}  the work or the app's own code failed
  ${EXIT.usage}  the input was refused, nothing was changed
  ${EXIT.notFound}  what was asked for is not there
  ${EXIT.database}  the database cannot be reached or is not fit

Environment:
  DATABASE_URL          the PostgreSQL to use; without it, the embedded one in .pawl/
  PAWL_CONFIG           the config file, as --config
  PAWL_DIR              the folder of the embedded PostgreSQL, default .pawl
  PAWL_POSTGRES_BIN     the only folder where the embedded one looks for its programs
  PAWL_SECRET_KEY       what secrets that operators typed in are sealed with, id:base64,…
  PAWL_SECRET_KEY_FILE  a file that holds the same
  PAWL_REQUESTS_LIMIT   for the app: requests under way at once, over all workers
  PAWL_OFF              for workers: what may not start on this host, "all" or "queue:low,queue:high"
  PAWL_LOCKS_DIR        for workers: the folder of files that do the same, default locks
  PAWL_LOG_LEVEL        debug, info, warn, error or silent; -v and -vv go before it`;

export function program(): Command {
  const root = new Command("pawl")
    .description("Durable integration work on PostgreSQL: jobs, events and their deliveries.")
    .version(VERSION, "-V, --version", "print the version")
    .option("--config <file>", "the app's config (default: the nearest pawl.config.ts upwards)")
    .option("--json", "print the result, or the error, as one JSON document on stdout")
    .option("-v, --verbose", "log more on stderr: -v info, -vv debug", countUp, 0)
    .addHelpText("after", AFTER_HELP);
  const commands = [
    migrateCommand(),
    workCommand(),
    stopWorkersCommand(),
    statsCommand(),
    whyCommand(),
    offCommand(),
    onCommand(),
    queuesCommand(),
    tasksCommand(),
    deadCommand(),
    eventsCommand(),
    deliveriesCommand(),
    destinationsCommand(),
    routesCommand(),
    requestsCommand(),
    keysCommand(),
    sourcesCommand(),
    inboxCommand(),
    auditCommand(),
    pruneCommand(),
    dbCommand(),
    helpCommand(root),
  ];
  for (const command of commands) root.addCommand(command);
  prepare(root);
  return root;
}

/** Nothing ends the process or writes an error by itself: what is wrong is thrown, and printed in one place. */
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
