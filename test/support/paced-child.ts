/** A process that loads one source, many times a second, from the server that its test names. */

import { hostname } from "node:os";
import { silentLogger } from "../../src/base/log.ts";
import { loader } from "../../src/inbox/loader.ts";
import { type App, connect, defineApp, defineSource, type Page } from "../../src/index.ts";
import { openSender } from "../../src/requests/sender.ts";

export const GAP_MS = 20;
/** The process is busy with something else so long, and then again after a while; then it looks what is due. */
const BUSY_MS = 12;
const BUSY_EVERY_MS = 790;
const url = process.env.PAWL_TEST_ARRIVALS ?? "";

const paced = defineSource({
  name: "paced",
  gap: GAP_MS,
  limit: 1,
  idle: 1,
  fetch: async (after, _limit, { http, signal }) => {
    const request = { url: `${url}/paced?after=${after}`, method: "GET", headers: {}, body: "" };
    const { body } = await http.send({ ...request, timeoutMs: 10_000, signal });
    return JSON.parse(body) as Page;
  },
});

export const pacedApp: App = defineApp({ sources: [paced], http: { allow: ["127.0.0.1"] } });

/** Timers and answers come late then, which must not bring two requests nearer to each other. */
function beBusy(): void {
  const end = performance.now() + BUSY_MS;
  while (performance.now() < end);
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
    isOffHere: () => false,
  });
  await pawl.work({ roles: ["mover"] });
  loading.start();
  setInterval(() => {
    beBusy();
    loading.wake();
  }, BUSY_EVERY_MS);
}

await asLoader();
