/** Reads a secret from stdin. */

import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { PawlError } from "../base/errors.ts";

/** The first line; nothing of it is echoed. */
export async function readStdinSecret(what: string): Promise<string> {
  const { stdin } = process;
  if (stdin.isTTY) process.stderr.write(`pawl: ${what}, not echoed: `);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: stdin, output: nowhere, terminal: stdin.isTTY });
  try {
    for await (const line of lines) {
      if (stdin.isTTY) process.stderr.write("\n");
      if (line.trim() !== "") return line.trim();
    }
  } finally {
    lines.close();
  }
  throw new PawlError("invalid_option", `expected a secret on stdin for \`${what}\`, got nothing`);
}

/** All of it, without the last end of line; undefined at a terminal. */
export async function readPiped(): Promise<string | undefined> {
  if (process.stdin.isTTY) return undefined;
  return (await text(process.stdin)).replace(/\r?\n$/, "");
}
