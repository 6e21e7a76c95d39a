/** Makes a file that defines an app the program of a worker process, when a fleet started it as one. */

import { Socket } from "node:net";
import { silentLogger } from "../../src/base/log.ts";
import { type App, connect, type Pawl } from "../../src/index.ts";

/** Few connections: several fleets share a server. In the test's own process, which imports the same file for its jobs, it does nothing. */
export async function asWorker(
  app: App,
  connected: (pawl: Pawl) => void,
  connections = 2,
): Promise<void> {
  const databaseUrl = process.env.PAWL_TEST_WORKER_URL;
  if (databaseUrl === undefined) return;
  const pawl = await connect(app, { databaseUrl, log: silentLogger, connections });
  connected(pawl);
  endWithParent();
  // before it is registered: whoever sees it there may tell it to stop
  const told = new Promise<void>((resolve) => process.once("SIGTERM", () => resolve()));
  await pawl.work({ concurrency: Number(process.env.PAWL_TEST_CONCURRENCY ?? 8) });
  told.then(() => pawl.close()).catch(() => process.exit(1));
}

/** A test run that was killed must not leave its workers behind: their standard input ends with it. */
function endWithParent(): void {
  process.stdin.once("close", () => process.exit(1));
  process.stdin.resume();
  if (process.stdin instanceof Socket) process.stdin.unref();
}
