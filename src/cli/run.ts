/** One run of the CLI: parse, act, print; every error becomes a message and one of the fixed exit codes. */

import { type Command, CommanderError } from "commander";
import { EXIT } from "../base/error-codes.ts";
import { PawlError } from "../base/errors.ts";
import { printError } from "./output.ts";
import { program } from "./program.ts";

/** Returns the exit code. The process goes on. */
export async function run(argv: readonly string[], root: Command = program()): Promise<number> {
  try {
    await root.parseAsync(argv.length === 0 ? ["--help"] : argv, { from: "user" });
    return EXIT.ok;
  } catch (thrown) {
    if (thrown instanceof CommanderError && thrown.exitCode === 0) return EXIT.ok; // help or version was shown
    return failed(root, thrown);
  }
}

/** Prints an error in the requested form, and returns the exit code. */
export function failed(root: Command, thrown: unknown): number {
  const { json = false, verbose = 0 } = root.opts<{ json?: boolean; verbose?: number }>();
  printError(thrown, { json, verbose });
  return thrown instanceof PawlError ? thrown.exitCode : EXIT.failed;
}
