/**
 * A process that loads a stream of RabbitMQ and stores what it gives: `PAWL_TEST_STREAM` at `PAWL_TEST_BROKER`. With
 * `PAWL_TEST_KILL=7` it dies when the seventh page of its own is durable and not yet acknowledged.
 */

import { hostname } from "node:os";
import { silentLogger } from "../../src/base/log.ts";
import { loader } from "../../src/inbox/loader.ts";
import { type App, connect, defineApp, rabbitmqStreamSource } from "../../src/index.ts";
import { env } from "../../src/secrets/secret.ts";
import { openSender } from "../../src/sender/sender.ts";

const orders = rabbitmqStreamSource({
  name: "orders",
  url: env("PAWL_TEST_BROKER"),
  stream: process.env.PAWL_TEST_STREAM ?? "orders",
  prefetch: 500,
  limit: 50,
  lease: "2s",
  retry: { attempts: 1_000, delay: 500, factor: 1, jitter: 0 },
  store: async (events, { tx }) => {
    await tx.query("insert into handled (id, n) select * from unnest($1::int[], $2::int[])", [
      events.map((event) => Number(event.id)),
      events.map((event) => (event.payload as { n: number }).n),
    ]);
  },
});

const BROKER_HOSTS = { allow: ["127.0.0.1", "localhost"] };

export const streamApp: App = defineApp({ sources: [orders], http: BROKER_HOSTS });

/** Without a unique index: a second row of an id is what must not be. */
export const STREAM_SET_UP: readonly string[] = [
  "create table handled (id int not null, n int not null)",
];

async function asLoader(): Promise<void> {
  const databaseUrl = process.env.PAWL_TEST_WORKER_URL;
  if (databaseUrl === undefined) return;
  process.stdin.once("close", () => process.exit(1));
  process.stdin.resume();
  let pages = 0;
  const pawl = await connect(streamApp, { databaseUrl, log: silentLogger, connections: 2 });
  const loading = loader({
    executor: pawl.store,
    sources: [orders],
    http: openSender(BROKER_HOSTS),
    log: silentLogger,
    payloadBytesMax: streamApp.maxPayloadBytes,
    holder: `${hostname()} ${process.pid}`,
    isOffHere: () => false,
    at: (point) => {
      if (point !== "stored") return;
      pages += 1;
      if (pages === Number(process.env.PAWL_TEST_KILL)) process.kill(process.pid, "SIGKILL");
    },
  });
  await pawl.work({ roles: ["mover"] });
  loading.start();
}

await asLoader();
