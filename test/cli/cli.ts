/**
 * Runs the CLI as it is built: in the test's process with `pawl`, or as a process of its own with `pawlProcess` and
 * `start`; what a test leaves running is killed after the file.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { vi } from "vitest";
import { atEnd } from "../support/at-end.ts";

export const MAIN: string = path.join(import.meta.dirname, "../../dist/cli/main.js");
const RUN = path.join(import.meta.dirname, "../../dist/cli/run.js");
/** What a config in another folder imports as `pawl`. */
export const PAWL: string = path.join(import.meta.dirname, "../../dist/index.js");
export const CONFIG: string = path.join(import.meta.dirname, "fixture/pawl.config.ts");

export interface Finished {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface Running {
  process: ChildProcess;
  finished: Promise<Finished>;
  /** What it has written to stderr so far. */
  stderr(): string;
}

export interface CliOptions {
  /** DATABASE_URL; without it the variable is not set. */
  url?: string;
  /** Default: a folder without a config. */
  cwd?: string;
  env?: Record<string, string>;
}

export function newFolder(): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), "pawl-cli-"));
  atEnd(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function start(args: readonly string[], options: CliOptions = {}): Running {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: options.cwd ?? newFolder(),
    env: environment(options),
    stdio: ["ignore", "pipe", "pipe"],
  });
  atEnd(() => child.kill("SIGKILL"));
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    stdout += chunk;
  });
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    stderr += chunk;
  });
  const finished = once(child, "close").then(() => ({ code: child.exitCode, stdout, stderr }));
  return { process: child, finished, stderr: () => stderr };
}

/** For tests of what a process does, or of a config that changes between two calls. */
export function pawlProcess(args: readonly string[], options: CliOptions = {}): Promise<Finished> {
  return start(args, options).finished;
}

let turn: Promise<unknown> = Promise.resolve();

/**
 * The same command in this process, 1 to 2 s of CPU cheaper. Calls run one after another, because output, environment
 * and folder are the process's own. A config is loaded once a file.
 */
export function pawl(args: readonly string[], options: CliOptions = {}): Promise<Finished> {
  const finished = turn.then(() => inThisProcess(args, options));
  turn = finished.catch(() => undefined);
  return finished;
}

async function inThisProcess(args: readonly string[], options: CliOptions): Promise<Finished> {
  const { run } = (await import(RUN)) as typeof import("../../src/cli/run.ts");
  const leave = enter(options);
  const stdout = capture(process.stdout);
  const stderr = capture(process.stderr);
  try {
    const code = await run(args);
    return { code, stdout: stdout.text(), stderr: stderr.text() };
  } finally {
    stdout.end();
    stderr.end();
    leave();
  }
}

/** Enters the folder and the environment of the call; what it returns goes back, and takes off the signals' listeners. */
function enter(options: CliOptions): () => void {
  const folder = process.cwd();
  const outer = { ...process.env };
  process.chdir(options.cwd ?? newFolder());
  setEnvironment(environment(options));
  return () => {
    process.chdir(folder);
    setEnvironment(outer);
  };
}

function setEnvironment(env: Record<string, string | undefined>): void {
  for (const name of Object.keys(process.env))
    if (env[name] === undefined) delete process.env[name];
  Object.assign(process.env, env);
}

/** Keeps what is written; as behind a pipe, nobody watches. */
function capture(stream: NodeJS.WriteStream): { text: () => string; end: () => void } {
  const { isTTY } = stream;
  let text = "";
  stream.isTTY = false;
  const spy = vi.spyOn(stream, "write").mockImplementation((chunk) => {
    text += String(chunk);
    return true;
  });
  return {
    text: () => text,
    end: () => {
      stream.isTTY = isTTY;
      spy.mockRestore();
    },
  };
}

/** With `--json`: the document, and the exit code. */
export async function pawlJson<T>(
  args: readonly string[],
  options: CliOptions = {},
): Promise<{ code: number | null; json: T }> {
  const { code, stdout, stderr } = await pawl([...args, "--json"], options);
  if (stdout === "") throw new Error(`no output; stderr: ${stderr}`);
  return { code, json: JSON.parse(stdout) };
}

export interface ErrorDocument {
  error: { code: string | null; message: string; data: Record<string, unknown> };
}

function environment({ url, env }: CliOptions): Record<string, string | undefined> {
  const outer = Object.entries(process.env).filter(
    ([name]) => !/^(VITEST|PAWL_|DATABASE_URL|NODE_OPTIONS)/.test(name),
  );
  return { ...Object.fromEntries(outer), ...(url !== undefined && { DATABASE_URL: url }), ...env };
}
