/**
 * `pawl work --processes N`: a parent that runs its own command line in N processes. One that dies or says nothing for long
 * is started again, with backoff; one that ends in good order (a limit, no work left) is not. The parent runs no task and
 * opens no connection.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { backoffMs } from "../base/backoff.ts";
import { EXIT } from "../base/error-codes.ts";
import { PawlError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { messageOf } from "../base/thrown.ts";
import type { Health } from "./health-server.ts";
import type { Answer } from "./output.ts";
import { isTold, supervisedEnv, TELL_MS, type Told } from "./supervised.ts";

const MAIN = fileURLToPath(new URL("./main.js", import.meta.url));
const RESTART_MS = { baseMs: 500, maxMs: 30_000 };
/** One that lived so long had started well: its death counts as the first. */
const WELL_MS = 60_000;
/** One that has said nothing for so long is not ready. It has missed five times to tell. */
const READY_SILENCE_MS = 5 * TELL_MS;
/** One that has said nothing for so long, from its start on, is stuck, and is killed. Its lease of 10 s has run out long before. */
const LIVE_SILENCE_MS = 60_000;
const GRACE_MS = 25_000;

interface ProcessesOptions {
  count: number;
  /** The command line, without the options that are the parent's. */
  argv: readonly string[];
  log: Logger;
  /** Resolves when the parent is to stop. */
  stop: Promise<void>;
  /** How long one that is asked to stop may say nothing, if that is less; default 25 s. */
  graceMs?: number;
  /** How long one may say nothing before it is killed, once it has said something; default 60 s. */
  liveSilenceMs?: number;
  /** And before its first word, while it loads its code; default 60 s. */
  startSilenceMs?: number;
}

interface Ended {
  readonly pid: number;
  readonly endedBy: string;
  readonly givenBack: number;
  /** How often it had died and was started again. */
  readonly restarts: number;
}

/** Without the value and the option itself, in both spellings. */
export function argvWithout(argv: readonly string[], options: readonly string[]): string[] {
  const kept: string[] = [];
  for (let at = 0; at < argv.length; at += 1) {
    const word = argv[at] ?? "";
    if (options.includes(word)) at += 1;
    else if (!options.some((option) => word.startsWith(`${option}=`))) kept.push(word);
  }
  return kept;
}

export class Processes {
  readonly #options: ProcessesOptions;
  readonly #places: Place[];

  constructor(options: ProcessesOptions) {
    this.#options = options;
    this.#places = Array.from({ length: options.count }, (_, at) => new Place(at + 1, options));
  }

  /** Of the worst of them. */
  get health(): Health {
    const all = this.#places.map((place) => place.health);
    const worst = all.find(({ isLive }) => isLive === false) ?? all.find((one) => !one.isReady);
    return worst ?? { isReady: true, reason: "ok" };
  }

  /** @throws PawlError `invalid_option` when one refused; `worker_process_failed` when one did not end in good order after a stop */
  async run(): Promise<Answer> {
    const kill = () => {
      for (const place of this.#places) place.signal("SIGKILL");
    };
    process.once("exit", kill);
    const stopAll = () => {
      for (const place of this.#places) place.stop();
    };
    this.#options.stop.then(stopAll).catch(() => undefined);
    const ticks = setInterval(() => {
      for (const place of this.#places) place.tick();
    }, TELL_MS);
    try {
      const runs = this.#places.map((place) => place.run());
      for (const one of runs) one.catch(stopAll); // a command line that one refuses, the others refuse too
      await Promise.allSettled(runs);
      const processes = await Promise.all(runs);
      const lines = processes.map(
        ({ pid, endedBy, givenBack }) =>
          `process ${pid}: ended by ${endedBy}, ${givenBack} tasks given back`,
      );
      return { json: { processes }, text: lines.join("\n") };
    } finally {
      clearInterval(ticks);
      process.off("exit", kill);
    }
  }
}

interface Exit {
  readonly pid: number;
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Why it could not be started. */
  readonly err?: string;
}

const STARTING: Told = { isReady: false, reason: "starting" };

/** One of the N: the processes that follow each other in it. */
class Place {
  readonly #no: number;
  readonly #options: ProcessesOptions;
  #child: ChildProcess | undefined;
  #isStopping = false;
  #goOn: () => void = () => undefined;
  #told: Told = STARTING;
  /** A process of it was ready once, so its command line is accepted. */
  #wasReady = false;
  /** Since it last said something, counted in ticks of this process: one that was frozen itself has heard nobody. */
  #silenceMs = 0;

  constructor(no: number, options: ProcessesOptions) {
    this.#no = no;
    this.#options = options;
  }

  get health(): Health {
    const { isReady, reason } = this.#told;
    if (this.#silenceMs <= READY_SILENCE_MS) return { isReady, reason };
    const said = `process ${this.#no} has said nothing for ${this.#silenceMs / 1_000} s`;
    return { isReady: false, isLive: !this.#isStuck, reason: said };
  }

  get #isStuck(): boolean {
    const { graceMs = GRACE_MS, liveSilenceMs, startSilenceMs } = this.#options;
    const given = this.#told === STARTING ? startSilenceMs : liveSilenceMs;
    const stopMs = this.#isStopping
      ? Math.max(graceMs, READY_SILENCE_MS)
      : Number.POSITIVE_INFINITY;
    return this.#silenceMs >= Math.min(given ?? LIVE_SILENCE_MS, stopMs);
  }

  /** Every TELL_MS. */
  tick(): void {
    if (this.#child === undefined) return;
    this.#silenceMs += TELL_MS;
    if (!this.#isStuck) return;
    const data = { process: this.#no, pid: this.#child.pid, silenceMs: this.#silenceMs };
    this.#options.log.error(data, "a worker process says nothing any more, it is killed");
    this.signal("SIGKILL");
  }

  async run(): Promise<Ended> {
    let deaths = 0;
    for (let restarts = 0; ; restarts += 1) {
      const startedAt = performance.now();
      const exit = await this.#once();
      if (this.#hasEnded(exit)) {
        const { endedBy = "signal", givenBack = 0 } = this.#told;
        return { pid: exit.pid, endedBy, givenBack, restarts };
      }
      deaths = performance.now() - startedAt > WELL_MS ? 1 : deaths + 1;
      const waitMs = backoffMs(deaths, RESTART_MS);
      const data = { process: this.#no, ...exit, restartMs: waitMs };
      this.#options.log.warn(data, "a worker process died, it is started again");
      await this.#pause(waitMs);
      if (this.#isStopping) return { pid: exit.pid, endedBy: "signal", givenBack: 0, restarts };
    }
  }

  /** In good order, for ever; false: it died and is started again. */
  #hasEnded({ pid, exitCode, signal }: Exit): boolean {
    if (exitCode === EXIT.ok || (this.#isStopping && (isAsked(signal) || pid === 0))) return true;
    if (this.#isStopping) throw failedProcess(pid, exitCode, signal);
    if (exitCode === EXIT.usage && !this.#wasReady) throw refused(pid); // else a handler may have ended it
    return false;
  }

  stop(): void {
    this.#isStopping = true;
    this.signal("SIGTERM");
    this.#goOn();
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Never rejects: where a process cannot be started now, it may be later. */
  async #once(): Promise<Exit> {
    this.#told = STARTING;
    this.#silenceMs = 0;
    try {
      return await this.#ended(this.#spawned());
    } catch (error) {
      return { pid: 0, exitCode: null, signal: null, err: messageOf(error) };
    } finally {
      this.#child = undefined;
      this.#silenceMs = 0;
      this.#told = { ...this.#told, isReady: false, reason: "ended" };
    }
  }

  /** Its stdout is the parent's stderr: stdout is for the answer of the parent. */
  #spawned(): ChildProcess {
    const argv = [...process.execArgv, MAIN, ...this.#options.argv];
    return spawn(process.execPath, argv, { stdio: ["ignore", 2, 2, "ipc"], env: supervisedEnv() });
  }

  #ended(child: ChildProcess): Promise<Exit> {
    const { pid } = child;
    return new Promise((resolve, reject) => {
      child.on("error", (error) => {
        if (pid === undefined) reject(error); // else a signal or a message failed, and it runs
      });
      if (pid === undefined) return;
      this.#child = child;
      child.on("message", (message) => {
        if (isTold(message)) this.#heard(message);
      });
      // not `exit`, which may come before its last words
      child.on("close", (exitCode, signal) => resolve({ pid, exitCode, signal }));
      this.#options.log.info({ process: this.#no, pid }, "worker process started");
    });
  }

  /** What it said last is kept, such as why it ends. */
  #heard(told: Told): void {
    this.#told = { ...this.#told, ...told };
    this.#silenceMs = 0;
    this.#wasReady ||= told.isReady;
  }

  #pause(waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, waitMs);
      this.#goOn = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** Ended by what asks to stop, before it could hear it. */
function isAsked(signal: NodeJS.Signals | null): boolean {
  return signal === "SIGTERM" || signal === "SIGINT" || signal === "SIGHUP";
}

function refused(pid: number): PawlError {
  return new PawlError(
    "invalid_option",
    `work: worker process ${pid} refused its command line or its app; what it wrote to stderr says why`,
  );
}

function failedProcess(pid: number, code: number | null, signal: NodeJS.Signals | null): PawlError {
  const how = signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`;
  return new PawlError(
    "worker_process_failed",
    `work: worker process ${pid} ${how}; what it wrote to stderr says why`,
    { data: { pid, exitCode: code, signal } },
  );
}
