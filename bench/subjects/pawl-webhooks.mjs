// Pawl's outbox: events are recorded, routed and delivered, each delivery's answer kept with it.
import pg from "pg";
import { connect, defineApp, jsonLogger, nullDestination, on, webhook } from "../../dist/index.js";
import { WEBHOOK_PAYLOAD } from "./payload.mjs";

const SECRET = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
const GRACE = "5s";
const SAMPLE_PAUSE_MS = { min: 20, max: 120 };

/** `targets`: the URLs of the destinations; without any, one that discards. */
export async function open({ url, targets = [], slots, connections = 10 }) {
  const names = targets.length === 0 ? ["discard"] : targets.map((_, i) => `d${i}`);
  const destinations = Object.fromEntries(
    names.map((name, i) => [
      name,
      targets.length === 0
        ? nullDestination()
        : webhook({ url: targets[i], secret: SECRET, timeout: "2s" }),
    ]),
  );
  const app = defineApp({
    name: "bench",
    destinations,
    routes: [on("order.*").to(...names)],
    http: { allow: ["127.0.0.1"] },
  });
  const pawl = await connect(app, {
    databaseUrl: url,
    migrate: true,
    connections,
    log: jsonLogger("error"),
  });
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  let worker;
  const one = async (text, values) => (await client.query(text, values)).rows[0];
  const stop = async () => {
    await worker?.stop(GRACE);
    worker = undefined;
  };
  return {
    record: async ({ events }) => {
      await client.query(
        `insert into pawl.event (name, aggregate_type, aggregate_id, payload)
         select 'order.placed', 'order', n::text, $2 from generate_series(1, $1::int) n`,
        [events, JSON.stringify(WEBHOOK_PAYLOAD)],
      );
      await client.query("analyze");
    },
    route: async () => {
      while ((await one("select pawl.route_v1(500) as n")).n > 0);
      await client.query("analyze");
      await client.query("checkpoint").catch(() => undefined);
    },
    start: async () => {
      worker = await pawl.work({ concurrency: slots });
    },
    stop,
    /** Deliveries that ended well, over all destinations but the last `but`. */
    delivered: async ({ but = 0 } = {}) =>
      (
        await one(
          `select count(*)::int as n from pawl.finished f join pawl.stream st on st.id = f.stream_id
             join pawl.destination d on d.stream_id = st.id where f.outcome = 'done' and not d.name = any ($1)`,
          [names.slice(names.length - but)],
        )
      ).n,
    isDrained: async () => (await one(IS_DRAINED)).drained,
    dead: async () => (await one("select count(*)::int as n from pawl.dead")).n,
    commitToFirstByte: ({ samples }) => firstBytes(pawl, samples),
    close: async () => {
      await stop();
      await client.end();
      await pawl.close();
    },
  };
}

// by an index, which forgets what is gone: reading the tables again and again would cost more than what is measured
const IS_DRAINED = `
  select not exists (select 1 from (select 1 from pawl.event where routed_at is null order by number + 0 limit 1) e)
     and not exists (select 1 from (select 1 from pawl.task order by id limit 1) t) as drained`;

/** Both ends of a delay are read from one clock: the receiver is in this process. */
async function firstBytes(pawl, samples) {
  const { createServer } = await import("node:http");
  const { once } = await import("node:events");
  const { setTimeout: wait } = await import("node:timers/promises");
  let seen;
  const server = createServer((request, response) => {
    seen?.(performance.now());
    request.resume().once("end", () => response.writeHead(204).end());
  });
  server.listen(FIRST_BYTE_PORT, "127.0.0.1");
  await once(server, "listening");
  const worker = await pawl.work();
  const delays = [];
  try {
    for (let i = -10; i < samples; i++) {
      await wait(SAMPLE_PAUSE_MS.min + Math.random() * (SAMPLE_PAUSE_MS.max - SAMPLE_PAUSE_MS.min));
      const arrived = new Promise((resolve) => {
        seen = resolve;
      });
      await pawl.record("order.placed", { aggregate: ["order", i], payload: WEBHOOK_PAYLOAD });
      const committedAt = performance.now();
      const delay = Math.max((await arrived) - committedAt, 0);
      if (i >= 0) delays.push(delay);
    }
  } finally {
    await worker.stop(GRACE);
    server.close();
  }
  return delays;
}
export const FIRST_BYTE_PORT = 39_471;
