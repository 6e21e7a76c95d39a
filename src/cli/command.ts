/** Makes a command: its options, the examples of its help, and what it does when it is called. */

import path from "node:path";
import { Command } from "commander";
import type { App } from "../app/parts.ts";
import { PawlError } from "../base/errors.ts";
import { jsonLogger, type Logger, type LogLevel, logLevel } from "../base/log.ts";
import { projectRoot } from "../base/project.ts";
import type { Fields, ValueOf } from "../options/field.ts";
import { addOptions, readInputs, refuseUnstorable } from "./inputs.ts";
import { findConfig, loadConfig } from "./load-config.ts";
import { namingRole } from "./needed-role.ts";
import { type Answer, note, printAnswer } from "./output.ts";

const SCHEMA_DEFAULT = "pawl";

export interface Call {
  /** What was typed after the command, options left out. */
  args: string[];
  json: boolean;
  log: Logger;
  /** The config's file, or undefined when there is none. @throws PawlError `config_not_found` */
  config(): string | undefined;
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

/** A command with options; fields that its usage names are its arguments. */
export function takes<F extends Fields>(
  one: Command,
  input: F,
  act: (call: Call, given: ValueOf<F>) => Promise<Answer>,
): Command {
  const inputs = { input, args: one.registeredArguments.map((arg) => arg.name()) };
  addOptions(one, inputs);
  return does(one, async (call) => act(call, readInputs(one, inputs) as ValueOf<F>));
}

export function does(one: Command, act: (call: Call) => Promise<Answer>): Command {
  return one.action(async () => {
    const { json = false, verbose = 0, config } = one.optsWithGlobals<Globals>();
    const file = () => findConfig(config ?? (process.env.PAWL_CONFIG || undefined));
    const call: Call = {
      args: one.args,
      json,
      log: jsonLogger(levelOf(verbose)),
      config: file,
      app: async () => {
        const found = file();
        return found === undefined ? undefined : loadConfig(found);
      },
    };
    refuseUnstorable(one);
    const answer = await act(call).catch(async (thrown: unknown) => {
      const place = () => placeOrDefault(call);
      throw await namingRole(thrown, { what: pathOf(one), place, log: call.log });
    });
    printAnswer(answer, json);
  });
}

function pathOf(one: Command): string {
  const above = one.parent?.parent ? `${pathOf(one.parent)} ` : "";
  return `${above}${one.name()}`;
}

/** Of `-v`, `-vv` and `-vvv`. */
const VERBOSE = ["info", "debug", "trace"] as const satisfies readonly LogLevel[];

function levelOf(verbose: number): LogLevel {
  const level = VERBOSE[Math.min(verbose, VERBOSE.length) - 1];
  if (level !== undefined) return level;
  return process.env.PAWL_LOG_LEVEL ? logLevel() : "warn";
}

/** The schema and the folder of `.pawl/`: those of the app, or without a config the defaults of this project. */
interface Place {
  schema: string;
  root: string;
}

export async function placeOrDefault(call: Call): Promise<Place> {
  try {
    return await placeOf(call);
  } catch (error) {
    if (!(error instanceof PawlError && error.code === "config_failed")) throw error;
    note(`${error.message}; going on with schema "${SCHEMA_DEFAULT}"`);
    return defaultPlace(call);
  }
}

export async function placeOf(call: Call): Promise<Place> {
  const app = await call.app();
  return app === undefined ? defaultPlace(call) : { schema: app.schema, root: app.root };
}

function defaultPlace(call: Call): Place {
  const config = call.config();
  const folder = config === undefined ? process.cwd() : path.dirname(config);
  return { schema: SCHEMA_DEFAULT, root: projectRoot(folder) ?? folder };
}

export async function requireApp(call: Call): Promise<App> {
  const app = await call.app();
  if (app !== undefined) return app;
  throw new PawlError(
    "config_not_found",
    `config: no pawl.config.ts in ${process.cwd()} or above it in its project; run the command inside the project, or name the file with --config`,
  );
}
