/** Runs commands of the CLI in this process: what they print, or the error they end with. For many cases; exit codes of a real process are tested elsewhere. */

import { program } from "../../src/cli/program.ts";

/** One command at a time: stdout is the process's own. */
export async function here(url: string, ...args: string[]): Promise<string> {
  const before = process.env.DATABASE_URL;
  const write = process.stdout.write.bind(process.stdout);
  let out = "";
  process.env.DATABASE_URL = url;
  process.stdout.write = (text: string | Uint8Array) => {
    out += String(text);
    return true;
  };
  try {
    await program().parseAsync(args, { from: "user" });
  } finally {
    process.stdout.write = write;
    if (before === undefined) delete process.env.DATABASE_URL;
    else process.env.DATABASE_URL = before;
  }
  return out.trimEnd();
}

export async function hereJson<T = Record<string, unknown>>(
  url: string,
  ...args: string[]
): Promise<T> {
  return JSON.parse(await here(url, ...args, "--json"));
}
