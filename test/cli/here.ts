/** Runs commands of the CLI in this process: what they print, or the error they end with. For many cases; exit codes of a real process are tested elsewhere. */

import type { Command } from "commander";
import { program } from "../../src/cli/program.ts";

/** One command at a time: stdout is the process's own. */
export function here(url: string, ...args: string[]): Promise<string> {
  return hereBy(program(), url, ...args);
}

/** The same of another tree of commands. */
export async function hereBy(root: Command, url: string, ...args: string[]): Promise<string> {
  const before = process.env.DATABASE_URL;
  const write = process.stdout.write.bind(process.stdout);
  const heard = listeners();
  let out = "";
  process.env.DATABASE_URL = url;
  process.stdout.write = (text: string | Uint8Array) => {
    out += String(text);
    return true;
  };
  try {
    await root.parseAsync(args, { from: "user" });
  } finally {
    process.stdout.write = write;
    if (before === undefined) delete process.env.DATABASE_URL;
    else process.env.DATABASE_URL = before;
  }
  if (listeners() !== heard) throw new Error(`pawl ${args.join(" ")}: listens on after its end`);
  return out.trimEnd();
}

function listeners(): number {
  const events = ["SIGTERM", "SIGINT", "SIGHUP", "uncaughtExceptionMonitor"];
  return events.reduce((sum, event) => sum + process.listenerCount(event), 0);
}

export async function hereJson<T = Record<string, unknown>>(
  url: string,
  ...args: string[]
): Promise<T> {
  return JSON.parse(await here(url, ...args, "--json"));
}
