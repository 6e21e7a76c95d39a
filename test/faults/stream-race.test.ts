import { describe, expect, onTestFinished, test } from "vitest";
import type { Pawl } from "../../src/index.ts";
import { brokerProxy } from "../outbox/broker.ts";
import { fleet } from "../support/fleet.ts";
import { present } from "../support/present.ts";
import { size } from "../support/size.ts";
import { STREAM_SET_UP, streamApp } from "../support/stream-child.ts";
import { emptyStream } from "../support/stream-queue.ts";
import { until } from "../support/until.ts";

const broker = process.env.RABBITMQ_URL ?? "";
const COUNT = size(4_000, 10_000);
const KILLS = size(3, 5);
/** Pages of 50 that each process makes durable before it dies. */
const PAGES = 20;
/** What all of them are given before the broker goes away, more than those store that are killed; the rest comes when it is back. */
const FIRST = KILLS * PAGES * 50 + 500;
/** The broker is away so long: more openings fail than one. */
const AWAY_MS = 2_000;

const isBroken = (n: number) => n === 0 || n % 997 === 5;
const bodies = Array.from({ length: COUNT }, (_, n) => (isBroken(n) ? `{"n":${n}` : `{"n":${n}}`));
const good = bodies.flatMap((_, n) => (isBroken(n) ? [] : [n]));
const broken = bodies.flatMap((_, n) => (isBroken(n) ? [n] : []));

/** Every good message is stored once, and every bad one lies in quarantine with its bytes. */
async function expectAllStored(pawl: Pawl): Promise<void> {
  const handled = await pawl.store.rows<{ id: number; n: number }>(
    "select id, n from handled order by id",
  );
  expect(handled).toEqual(good.map((n) => ({ id: n, n })));
  const aside = await pawl.inbox.list({ source: "orders", limit: 100 });
  const raw = aside.map(({ id, raw }) => [Number(id), Buffer.from(raw ?? []).toString()] as const);
  expect(raw.toSorted(([a], [b]) => a - b)).toEqual(broken.map((n) => [n, bodies[n]]));
  const source = await present(pawl.sources.get("orders"));
  expect(source).toMatchObject({
    stored: String(COUNT - 1),
    received: good.length,
    storedCount: good.length,
    setAside: broken.length,
    duplicates: 0,
    backlog: 0,
  });
}

describe.skipIf(broker === "")("at a real RabbitMQ,", () => {
  test(`R45 R47: ${COUNT} messages, bad ones among them, the first one too: ${KILLS} consumers are killed and the broker goes away once, and each is stored or set aside once`, async () => {
    const { name: stream, publish } = await emptyStream(broker);
    await publish(bodies.slice(0, FIRST));
    const proxy = await brokerProxy(broker);
    const consumers = await fleet({
      app: streamApp,
      child: "stream-child.ts",
      setUp: STREAM_SET_UP,
    });
    onTestFinished(() => consumers.stop());
    const { pawl } = consumers;
    const start = (kill: number | "") =>
      consumers.start(1, {
        PAWL_TEST_BROKER: proxy.url,
        PAWL_TEST_STREAM: stream,
        PAWL_TEST_KILL: String(kill),
      });
    const requested = async () => Number((await present(pawl.sources.get("orders"))).requested);
    for (let kill = 1; kill <= KILLS; kill += 1) {
      const from = await requested();
      await consumers.ended(await start(PAGES));
      expect(await requested()).toBeGreaterThan(from);
    }
    expect(consumers.killed).toHaveLength(KILLS);
    expect(await requested()).toBeLessThan(COUNT - 1);

    const from = await requested();
    await start("");
    await until("the last one has begun", async () => (await requested()) > from);
    proxy.refuse();
    const awayAt = performance.now();
    await until("it was tried again, for a while", async () => {
      const { failures, status } = await present(pawl.sources.get("orders"));
      return status === "retrying" && failures >= 3 && performance.now() > awayAt + AWAY_MS;
    });
    expect(await requested()).toBeLessThan(COUNT - 1);
    await publish(bodies.slice(FIRST));
    proxy.listen();
    await until("all are stored", async () => {
      const { stored, backlog } = await present(pawl.sources.get("orders"));
      return stored === String(COUNT - 1) && backlog === 0;
    });
    await expectAllStored(pawl);
  });
});
