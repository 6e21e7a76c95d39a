// `webhooks`: signed deliveries with their answers kept, beside a loop that only signs and posts; one dead destination
// among fifty; and how soon the first byte is at the receiver. `relay`: from recorded events to a destination that
// discards.
import { setTimeout as wait } from "node:timers/promises";
import { startSubject } from "./child.mjs";
import { measured, median, percentile, perSecond, ratio, row } from "./report.mjs";
import { FIRST_BYTE_PORT } from "./subjects/pawl-webhooks.mjs";

const EVENTS = 30_000;
const SLOTS = 100;
const DESTINATIONS = 50;
const EVENTS_TO_MANY = 500;
const RELAY_EVENTS = 100_000;
const RELAY_SLOTS = 1_000;
const SAMPLES = 200;
const POLL_MS = 5;
/** Nothing listens there: each connection is refused. */
const DEAD = "http://127.0.0.1:9/hooks";

export async function webhooks(bench) {
  const { only, rounds, say } = bench;
  const deliveries = [];
  const bare = [];
  const alone = [];
  const beside = [];
  for (let round = 1; round <= rounds; round++) {
    if (only.test("signed deliveries")) {
      bare.push(await bareRate(bench));
      deliveries.push(
        await deliveryRate(bench, { good: 1, dead: 0, events: bench.tasks ?? EVENTS }),
      );
      say(`round ${round}: ${show(deliveries.at(-1))} deliveries/s, bare ${show(bare.at(-1))}`);
    }
    if (only.test("49 beside a dead one")) {
      const good = DESTINATIONS - 1;
      alone.push(await deliveryRate(bench, { good, dead: 0, events: EVENTS_TO_MANY }));
      beside.push(await deliveryRate(bench, { good, dead: 1, events: EVENTS_TO_MANY }));
      say(`round ${round}: 49 ${show(alone.at(-1))}/s, beside a dead one ${show(beside.at(-1))}/s`);
    }
  }
  const rows = [];
  if (deliveries.length > 0)
    rows.push({
      ...row({
        name: "signed deliveries",
        unit: "deliveries/s",
        pawl: median(deliveries),
        peers: { bare: median(bare) },
      }),
      target: 8_000,
      ratioTarget: 0.25,
      slots: SLOTS,
      rounds: deliveries.map(Math.round),
    });
  if (beside.length > 0)
    rows.push({
      ...row({ name: "49 beside a dead one", unit: "deliveries/s", pawl: median(beside) }),
      alone: Math.round(median(alone)),
      ratio: ratio(median(beside), median(alone)),
      target: 0.9,
      rounds: beside.map((rate, i) => ratio(rate, alone[i])),
    });
  if (only.test("commit to first byte")) rows.push(...(await firstByte(bench)));
  return rows;
}

export async function relay({ server, rounds, say, tasks = RELAY_EVENTS, slots = RELAY_SLOTS }) {
  const rates = [];
  for (let round = 1; round <= rounds; round++) {
    const rate = await server.withDatabase((url) =>
      withSubject("pawl-webhooks", { url, slots }, async (pawl) => {
        await pawl.call("record", { events: 2_000 });
        await drain(pawl, () => pawl.call("isDrained"));
        await pawl.call("record", { events: tasks });
        return perSecond(tasks, await drain(pawl, () => pawl.call("isDrained")));
      }),
    );
    say(`round ${round}: ${show(rate)} events/s recorded → routed → discarded`);
    rates.push(rate);
  }
  return [
    {
      ...row({ name: "recorded events to null", unit: "events/s", pawl: median(rates) }),
      target: 30_000,
      slots,
      rounds: rates.map(Math.round),
    },
  ];
}

/** From before the worker starts until every good delivery is on record. They are routed before. */
function deliveryRate({ server, slots = SLOTS }, { good, dead, events }) {
  return server.withDatabase((url) =>
    withSubject("webhook-receiver", {}, async (receiver) => {
      const hooks = `${await receiver.call("url")}/hooks`;
      const targets = [...Array(good).fill(hooks), ...Array(dead).fill(DEAD)];
      return withSubject("pawl-webhooks", { url, targets, slots }, async (pawl) => {
        const deliver = async (count) => {
          const before = await pawl.call("delivered", { but: dead });
          await pawl.call("record", { events: count });
          await pawl.call("route");
          const all = before + count * good;
          return drain(
            pawl,
            async () =>
              (await receiver.call("count")) >= all &&
              (await pawl.call("delivered", { but: dead })) >= all,
          );
        };
        await deliver(Math.max(Math.round(1_000 / good), 10));
        return perSecond(events * good, await deliver(events));
      });
    }),
  );
}

function bareRate({ tasks = EVENTS, slots = SLOTS }) {
  return withSubject("webhook-receiver", {}, async (receiver) => {
    const url = await receiver.call("url");
    return withSubject("bare-webhooks", { receiver: url, slots }, async (bare) => {
      await bare.call("send", { events: 2_000 });
      return perSecond(tasks, await bare.call("send", { events: tasks }));
    });
  });
}

async function firstByte({ server, say }) {
  const targets = [`http://127.0.0.1:${FIRST_BYTE_PORT}/hooks`];
  const delays = await server.withDatabase((url) =>
    withSubject("pawl-webhooks", { url, targets, slots: 20 }, (pawl) =>
      pawl.call("commitToFirstByte", { samples: SAMPLES }),
    ),
  );
  const [p50, p99] = [percentile(delays, 0.5), percentile(delays, 0.99)];
  say(`commit to first byte: p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`);
  return [
    { ...measured({ name: "commit to first byte, p50", unit: "ms", value: p50 }), target: 8 },
    measured({ name: "commit to first byte, p99", unit: "ms", value: p99 }),
  ];
}

async function drain(pawl, isDone) {
  const start = performance.now();
  await pawl.call("start");
  while (!(await isDone())) await wait(POLL_MS);
  const ms = performance.now() - start;
  await pawl.call("stop");
  return ms;
}

async function withSubject(module, settings, work) {
  const child = await startSubject(module, settings);
  try {
    return await work(child);
  } finally {
    await child.call("close").catch(() => undefined);
    await child.end();
  }
}

const show = (rate) => Math.round(rate).toLocaleString("en");
