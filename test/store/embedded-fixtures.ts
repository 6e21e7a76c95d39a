/** Folders, processes and connections for the tests of the embedded server; everything is ended after each test. */

import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { Client } from "pg";
import { stopEmbedded } from "../../src/store/embedded/index.ts";
import { atEnd } from "../support/at-end.ts";
import { bundle } from "../support/bundle.ts";

/** One for all files that this process runs. */
const program = bundle(path.join(import.meta.dirname, "embedded-child.ts"));
process.once("exit", () => program.remove());

export const isRoot: boolean = process.getuid?.() === 0;
export const NOBODY = 65_534;

/** A `.pawl` inside a new folder, which others may enter unless `mode` says otherwise. */
export async function newDir(mode = 0o755): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), "pawl-embedded-"));
  await chmod(folder, mode);
  atEnd(async () => {
    const { dataDir } = await stopEmbedded({ dir: path.join(folder, ".pawl") });
    await rm(path.dirname(dataDir), { recursive: true, force: true });
    await rm(folder, { recursive: true, force: true });
  });
  return path.join(folder, ".pawl");
}

export interface Child {
  process: ChildProcess;
  /** The line it prints when it is there. */
  line: Promise<{ pid: number; url: string; startedHere: boolean; dataDir: string }>;
  kill(): Promise<void>;
}

export function childProcess(what: string, dir: string, options: SpawnOptions = {}): Child {
  const child = spawn(process.execPath, [program.path, what, dir], {
    ...options,
    stdio: ["ignore", "pipe", "pipe"],
  });
  atEnd(() => end(child));
  return { process: child, line: firstLine(child), kill: () => end(child) };
}

async function firstLine(child: ChildProcess): Promise<Awaited<Child["line"]>> {
  let output = "";
  let errors = "";
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
    output += chunk;
  });
  child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
    errors += chunk;
  });
  const closed = once(child, "close");
  while (!output.includes("\n")) {
    const isClosed = await Promise.race([
      closed.then(() => true),
      once(child.stdout ?? child, "data").then(() => false),
    ]);
    if (isClosed && !output.includes("\n")) throw new Error(`the child said nothing: ${errors}`);
  }
  return JSON.parse(output);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

/** Looks again until it is so; the test's own timeout is the limit. */
export async function until(isSo: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await isSo())) await wait(5);
}

export async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}
