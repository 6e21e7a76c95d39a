/** How a command is made: its options, examples for its help, and what it does with a call. */

import { Command } from "commander";
import { logLevel } from "../app/connect.ts";
import { openDatabase } from "../app/database.ts";
import type { App } from "../app/define-app.ts";
import { findConfig, loadConfig } from "../app/load-config.ts";
import { PawlError } from "../base/errors.ts";
import { jsonLogger, type Logger, type LogLevel } from "../base/log.ts";
import type { Store } from "../store/store.ts";
import { type Answer, printAnswer } from "./output.ts";

/** Looking needs one; the second is for what looks twice at once. */
const CONNECTIONS = 2;
export const SCHEMA_DEFAULT = "pawl";

export interface Call {
  /** What was typed after the command, options left out. */
  args: string[];
  json: boolean;
  log: Logger;
  /** The app, or undefined when there is no config. @throws PawlError `config_not_found`, `config_failed` */
  app(): Promise<App | undefined>;
}

interface Globals {
  json?: boolean;
  verbose?: number;
  config?: string;
}

/** Examples as `[command, what it does]`. */
export function command(
  usage: string,
  description: string,
  examples: readonly (readonly [string, string])[] = [],
): Command {
  const made = new Command();
  const [name = "", ...args] = usage.split(" ");
  made.name(name).description(description);
  for (const arg of args) made.argument(arg);
  if (examples.length === 0) return made;
  const widest = Math.max(...examples.map(([line]) => line.length));
  const lines = examples.map(([line, what]) => `  ${line.padEnd(widest)}  ${what}`);
  return made.addHelpText("after", `\nExamples:\n${lines.join("\n")}`);
}

export function does<Options>(
  one: Command,
  act: (call: Call, options: Options) => Promise<Answer>,
): Command {
  return one.action(async () => {
    const { json = false, verbose = 0, config } = one.optsWithGlobals<Globals>();
    const call: Call = {
      args: one.args,
      json,
      log: jsonLogger(levelOf(verbose)),
      app: async () => {
        const path = findConfig(config ?? (process.env.PAWL_CONFIG || undefined));
        return path === undefined ? undefined : loadConfig(path);
      },
    };
    printAnswer(await act(call, one.opts<Record<string, unknown>>() as Options), json);
  });
}

function levelOf(verbose: number): LogLevel {
  if (verbose > 0) return verbose > 1 ? "debug" : "info";
  return process.env.PAWL_LOG_LEVEL ? logLevel() : "warn";
}

/** The app's schema, or the default without a config. Registers nothing, and migrates only the embedded server. */
export async function withStore<T>(call: Call, look: (store: Store) => Promise<T>): Promise<T> {
  const schema = (await call.app())?.schema ?? SCHEMA_DEFAULT;
  const database = await openDatabase({ schema, connections: CONNECTIONS, log: call.log });
  try {
    return await look(database.store);
  } finally {
    await database.close();
  }
}

export async function requireApp(call: Call): Promise<App> {
  const app = await call.app();
  if (app !== undefined) return app;
  throw new PawlError(
    "config_not_found",
    `config: no pawl.config.ts in ${process.cwd()} or above; run the command inside the project, or name the file with --config`,
  );
}
