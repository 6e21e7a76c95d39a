/**
 * A child process. It is started again if it ends without being asked, and it ends with this process: by `stop`, or by
 * itself if this one is killed. It has its own process group, so that Ctrl-C reaches only this process.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { createInterface } from "node:readline";

const STOP_MS_MAX = 30_000;
const RESTART_MS = 250;
const RESTART_MS_MAX = 5_000;
/** Number of ends within a minute before it counts as broken. */
const ENDS_MAX = 8;
const ENDS_WINDOW_MS = 60_000;
const END_WITH_PARENT = new URL("./end-with-parent.mjs", import.meta.url).href;

export interface ChildOptions {
  name: string;
  /** Arguments for Node, read at each start. */
  args: () => string[];
  env: Record<string, string>;
  /** Gets stderr, and stdout unless `onLine` gets it. */
  logFile: string;
  onLine?: (line: string) => void;
  /** Called if it ends again and again. */
  onBroken: (error: Error) => void;
}

export class Child {
  readonly #options: ChildOptions;
  #process: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  #ends: number[] = [];
  #restart: NodeJS.Timeout | undefined;
  #isStopping = false;

  constructor(options: ChildOptions) {
    this.#options = options;
    this.#start("w");
  }

  get name(): string {
    return this.#options.name;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Sends SIGTERM, and SIGKILL if it does not end. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    clearTimeout(this.#restart);
    this.#process?.kill("SIGTERM");
    const late = setTimeout(() => this.kill(), STOP_MS_MAX);
    await this.#ended;
    clearTimeout(late);
  }

  kill(): void {
    this.#isStopping = true;
    this.#process?.kill("SIGKILL");
  }

  #start(flag: "w" | "a"): void {
    const { args, env, logFile, onLine } = this.#options;
    const log = openSync(logFile, flag);
    const child = spawn(process.execPath, ["--import", END_WITH_PARENT, ...args()], {
      stdio: ["ignore", onLine === undefined ? log : "pipe", log, "ipc"],
      env: { ...process.env, ...env },
      detached: process.platform !== "win32",
    });
    closeSync(log);
    this.#process = child;
    if (onLine !== undefined && child.stdout !== null) {
      createInterface({ input: child.stdout }).on("line", onLine);
    }
    this.#ended = new Promise((resolve) => {
      const end = (what: string): void => {
        resolve();
        if (this.#process === child) this.#onEnd(what);
      };
      child.once("error", (error) => end(error.message));
      child.once("exit", (code, signal) => end(signal ?? `exit code ${code}`));
    });
  }

  #onEnd(what: string): void {
    this.#process = undefined;
    if (this.#isStopping) return;
    const now = Date.now();
    this.#ends = [...this.#ends.filter((end) => now - end < ENDS_WINDOW_MS), now];
    const { name, logFile, onBroken } = this.#options;
    if (this.#ends.length > ENDS_MAX) {
      onBroken(new Error(`the ${name} ends again and again (${what}); see ${logFile}`));
      return;
    }
    const delay = Math.min(RESTART_MS * 2 ** (this.#ends.length - 1), RESTART_MS_MAX);
    this.#restart = setTimeout(() => this.#start("a"), delay);
  }
}
