/**
 * Runs the programs of PostgreSQL to their end. They get a short list of our variables: a server lives on
 * as another user, and ours hold secrets. The locale is C, because `LANG` may name one that the machine does not have.
 */

import { spawn } from "node:child_process";

const OUTPUT_CHARS_MAX = 20_000;
const VARIABLES =
  process.platform === "win32"
    ? [
        "Path",
        "PATH",
        "SystemRoot",
        "SystemDrive",
        "ComSpec",
        "PATHEXT",
        "TEMP",
        "TMP",
        "USERPROFILE",
        "APPDATA",
      ]
    : ["PATH", "HOME", "TMPDIR", "TZ"];

/** Whom the programs run as, where that is not this process. Unsigned ids, as `chown` wants them. */
export interface RunAs {
  uid: number;
  gid: number;
}

export interface CommandOptions {
  runAs: RunAs | undefined;
  /** A file descriptor for the output. A server keeps what it inherits open, so it must never get a pipe. */
  outputFd?: number;
  /** What it reads from its standard input; default: nothing. */
  input?: string;
}

/** `code` is undefined when the program could not be run or was killed; `output` then says why. */
export interface CommandResult {
  code: number | undefined;
  output: string;
}

export function runCommand(
  program: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<CommandResult> {
  const { runAs, outputFd, input } = options;
  const { promise, resolve } = deferred<CommandResult>();
  const child = spawn(program, args, {
    cwd: process.platform === "win32" ? undefined : "/", // ours may be closed to the user it runs as
    env: commandEnvironment(),
    stdio: [input === undefined ? "ignore" : "pipe", outputFd ?? "pipe", outputFd ?? "pipe"],
    windowsHide: true,
    ...(runAs === undefined ? {} : { uid: runAs.uid | 0, gid: runAs.gid | 0 }), // Node takes signed ids here
  });
  let output = "";
  const collect = (chunk: string) => {
    output = (output + chunk).slice(-OUTPUT_CHARS_MAX);
  };
  child.stdout?.setEncoding("utf8").on("data", collect);
  child.stderr?.setEncoding("utf8").on("data", collect);
  child.stdin?.on("error", () => undefined).end(input); // it ended without reading: its exit code tells
  child.once("error", (error) => resolve({ code: undefined, output: error.message }));
  child.once("close", (code, signal) => {
    if (code === null) resolve({ code: undefined, output: `${output}\nended by ${signal}`.trim() });
    else resolve({ code, output: output.trim() });
  });
  return promise;
}

function commandEnvironment(): NodeJS.ProcessEnv {
  const kept = VARIABLES.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value]];
  });
  return { ...Object.fromEntries(kept), LC_ALL: "C" };
}

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
