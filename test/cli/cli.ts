/** Runs the CLI as it is built, as a process of its own; what a test leaves running is killed after the file. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll } from "vitest";

export const MAIN: string = path.join(import.meta.dirname, "../../dist/cli/main.js");
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

const children: ChildProcess[] = [];
const folders: string[] = [];

afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

export function newFolder(): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), "pawl-cli-"));
  folders.push(folder);
  return folder;
}

export function start(args: readonly string[], options: CliOptions = {}): Running {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: options.cwd ?? newFolder(),
    env: environment(options),
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.push(child);
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

export function pawl(args: readonly string[], options: CliOptions = {}): Promise<Finished> {
  return start(args, options).finished;
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
