/**
 * The main job of this repository: real GitHub webhooks come in, become business rows and jobs, and go out as signed
 * webhooks, over several processes. Killed at any time and started again, it continues where it was.
 */

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { connect, jsonLogger, type Pawl, PawlError } from "pawl";
import { Child } from "./child.ts";
import { type Display, display, json, summary } from "./display.ts";
import { startFeed } from "./feed.ts";
import { type Folder, openFolder, receiptFile } from "./folder.ts";
import { isMain } from "./local.ts";
import { type Options, readOptions, USAGE } from "./options.ts";
import { Receipts } from "./receipts.ts";
import { openBusiness } from "./tables.ts";
import { isGood, type Totals, type Witnesses } from "./totals.ts";
import { explainStuck, watch } from "./watch.ts";

const WORKERS = 2;
const INTERRUPTED = 130;
/** npm passes on the signal that the terminal has sent to everybody, so one Ctrl-C arrives twice within this time. */
const SAME_PRESS_MS = 200;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

class Interrupted extends Error {}

/** What is open; it is closed in reverse order, whatever happened. */
interface Running {
  stop: AbortController;
  children: Child[];
  closers: Array<() => Promise<unknown>>;
}

/** @returns the exit code */
export async function relay(argv: string[]): Promise<number> {
  let options: Options;
  try {
    options = readOptions(argv);
  } catch (error) {
    process.stderr.write(`relay: ${(error as Error).message}\n${USAGE}`);
    return 2;
  }
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const running: Running = { stop: new AbortController(), children: [], closers: [] };
  const ignoreSignals = hearSignals(running);
  try {
    return await run(options, running);
  } catch (error) {
    if (!(error instanceof Interrupted)) return failed(error);
    process.stderr.write("\nrelay: stopped; the next start goes on from here\n");
    return options.once ? INTERRUPTED : 0;
  } finally {
    for (const close of running.closers.reverse()) await close().catch(failed);
    ignoreSignals();
  }
}

/** A PawlError says what to do; for any other error the stack is needed. */
function failed(error: unknown): number {
  const { message, stack } = error as Error;
  const text = error instanceof PawlError ? message : (stack ?? message);
  process.stderr.write(`relay: ${text}\n`);
  process.exitCode = 1;
  return 1;
}

async function run(options: Options, running: Running): Promise<number> {
  const startedAt = performance.now();
  const { stop, closers } = running;
  const folder = await openFolder();
  const feed = await startFeed({ copies: options.copies });
  closers.push(() => feed.close());
  process.env.RELAY_FEED_URL = feed.url; // read by the config, here and in the workers
  const shown = display({ total: feed.count, isQuiet: options.once });
  const witnesses = await openAll(folder, running, shown);
  const { totals, isStuck } = await watch({
    witnesses,
    display: shown,
    endsAt: options.once ? feed.count : Number.POSITIVE_INFINITY,
    signal: stop.signal,
  });
  shown.clear();
  if (isStuck) shown.note(await explainStuck(witnesses, totals));
  tell(totals, options, { startedAt, folder });
  return isStuck || !isGood(totals) ? 1 : 0;
}

function tell(
  totals: Totals,
  options: Options,
  { startedAt, folder }: { startedAt: number; folder: Folder },
): void {
  const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
  process.stdout.write(
    options.json ? json(totals, seconds) : summary(totals, seconds, folder.path),
  );
}

/** Receiver, database, tables, workers. */
async function openAll(folder: Folder, running: Running, shown: Display): Promise<Witnesses> {
  const { stop, closers } = running;
  const receiverUrl = await startReceiver(folder, running);
  process.env.RELAY_RECEIVER_URL = receiverUrl; // the same
  const { default: app } = await import("./pawl.config.ts");
  shown.note("opening the database …");
  // by name, so that it also runs where NODE_ENV is production
  const databaseUrl = process.env.DATABASE_URL || "embedded";
  const pawl = await connect(app, { databaseUrl, migrate: true, log: jsonLogger("warn") });
  closers.push(() => pawl.close());
  const business = await openBusiness(pawl.databaseUrl);
  closers.push(() => business.end());
  stop.signal.throwIfAborted();
  startWorkers(folder, running, pawl);
  const pids = running.children.map((child) => `${child.name} ${child.pid}`).join(", ");
  shown.note(`processes: ${pids}; receiver at ${receiverUrl}`);
  return { pawl, business, receipts: new Receipts(folder.receipts) };
}

/** Resolves with the receiver's URL. The receiver keeps its port when it is started again. */
async function startReceiver(folder: Folder, running: Running): Promise<string> {
  const script = fileURLToPath(new URL("./receiver.ts", import.meta.url));
  let port = "0";
  let heard: (url: string) => void = () => undefined;
  const url = new Promise<string>((resolve, reject) => {
    heard = resolve;
    running.stop.signal.addEventListener("abort", () => reject(running.stop.signal.reason));
  });
  const receiver = startChild(running, {
    name: "receiver",
    args: () => ["--import", "tsx", script, "--port", port, "--log", receiptFile(folder)],
    env: { RECEIVER_SECRET: folder.secret },
    logFile: join(folder.path, "receiver.log"),
    onLine: (line) => {
      port = new URL(line).port;
      heard(line);
    },
  });
  running.closers.push(() => receiver.stop());
  return url;
}

/** Runs the command `pawl work`, as on any machine of a fleet. */
function startWorkers(folder: Folder, running: Running, { store }: Pawl): void {
  const cli = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
  const config = fileURLToPath(new URL("./pawl.config.ts", import.meta.url));
  const workers = Array.from({ length: WORKERS }, (_, index) =>
    startChild(running, {
      name: `worker ${index + 1}`,
      args: () => [cli, "work", "--config", config],
      env: { DATABASE_URL: store.url, RELAY_SECRET: folder.secret },
      logFile: join(folder.path, `worker-${index + 1}.log`),
    }),
  );
  running.closers.push(() => Promise.all(workers.map((worker) => worker.stop())));
}

function startChild(
  { stop, children }: Running,
  options: Omit<ConstructorParameters<typeof Child>[0], "onBroken">,
): Child {
  const child = new Child({ ...options, onBroken: (error) => stop.abort(error) });
  children.push(child);
  return child;
}

/** The first signal stops everything in order, the second at once. */
function hearSignals({ stop, children }: Running): () => void {
  let firstAt: number | undefined;
  const hear = (): void => {
    if (firstAt === undefined) {
      firstAt = performance.now();
      stop.abort(new Interrupted("interrupted"));
      return;
    }
    if (performance.now() - firstAt < SAME_PRESS_MS) return;
    for (const child of children) child.kill();
    process.exit(INTERRUPTED);
  };
  for (const signal of SIGNALS) process.on(signal, hear);
  return () => {
    for (const signal of SIGNALS) process.off(signal, hear);
  };
}

if (isMain(import.meta.url)) process.exitCode = await relay(process.argv.slice(2));
