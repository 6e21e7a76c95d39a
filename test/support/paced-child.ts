/**
 * A process that loads one source, many times a second, from the server that its test names. It takes turns with the
 * others: when there is nothing more for now it stands aside until each of them has loaded too.
 */

import { hostname } from "node:os";
import { silentLogger } from "../../src/base/log.ts";
import { loader } from "../../src/inbox/loader.ts";
import { type App, connect, defineApp, defineSource, type Page } from "../../src/index.ts";
import { openSender } from "../../src/sender/sender.ts";
import { until } from "./until.ts";

export const GAP_MS = 20;
/** The process is busy with something else so long, and then again after a while; then it looks what is due. */
const BUSY_MS = 12;
const BUSY_EVERY_MS = 790;
const url = process.env.PAWL_TEST_ARRIVALS ?? "";
/** Longer than any process stands still: what is given up would be held, and nobody would go on. */
const PATIENCE = "5m";
const PATIENCE_MS = 300_000;
/** Until the others are up. */
let standsAside = true;

const paced = defineSource({
  name: "paced",
  gap: GAP_MS,
  limit: 1,
  idle: 1,
  timeout: PATIENCE,
  lease: PATIENCE,
  fetch: async (after, _limit, { http, signal }) => {
    const request = { url: `${url}/paced?after=${after}`, method: "GET", headers: {}, body: "" };
    const { body } = await http.send({ ...request, timeoutMs: PATIENCE_MS, signal });
    const page = JSON.parse(body) as Page;
    if (page.more !== true) standsAside = true;
    return page;
  },
});

export const pacedApp: App = defineApp({ sources: [paced], http: { allow: ["127.0.0.1"] } });

/** Timers and answers come late then, which must not bring two requests nearer to each other. */
function beBusy(): void {
  const end = performance.now() + BUSY_MS;
  while (performance.now() < end);
}

/** Turn after turn. */
async function takeTurns(wake: () => void): Promise<void> {
  for (;;) {
    await fetch(`${url}/turn`);
    standsAside = false;
    wake();
    await until("its turn is over", () => standsAside, PATIENCE_MS);
  }
}

async function asLoader(): Promise<void> {
  const databaseUrl = process.env.PAWL_TEST_WORKER_URL;
  if (databaseUrl === undefined) return;
  process.stdin.once("close", () => process.exit(1));
  process.stdin.resume();
  const pawl = await connect(pacedApp, { databaseUrl, log: silentLogger, connections: 2 });
  const loading = loader({
    executor: pawl.store,
    sources: [paced],
    http: openSender(pacedApp.http),
    log: silentLogger,
    payloadBytesMax: pacedApp.maxPayloadBytes,
    holder: `${hostname()} ${process.pid}`,
    isOffHere: () => standsAside,
  });
  await pawl.work({ roles: ["mover"] });
  loading.start();
  takeTurns(() => loading.wake()).catch(() => process.exit(1));
  setInterval(() => {
    beBusy();
    loading.wake();
  }, BUSY_EVERY_MS);
}

await asLoader();
