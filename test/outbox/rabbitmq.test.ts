import { randomUUID } from "node:crypto";
import net from "node:net";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, on } from "../../src/index.ts";
import { type RabbitmqOptions, rabbitmq } from "../../src/outbox/destinations/rabbitmq.ts";
import type { Delivery, DestinationDefinition } from "../../src/outbox/destinations/types.ts";
import { outboxStats } from "../../src/outbox/sql.ts";
import { freePort } from "../sender/local-servers.ts";
import { freshDatabase } from "../support/database.ts";
import { deliveryContext } from "../support/delivery.ts";
import { timersOf } from "../support/timers.ts";
import { until } from "../support/until.ts";
import { brokerProxy, brokerSide } from "./broker.ts";

const url = process.env.RABBITMQ_URL ?? "";
if (url === "") {
  process.stderr.write("skipped: tests with RabbitMQ, since RABBITMQ_URL names no broker\n");
}
const PASSWORD = "pa55-of-the-broker";

function deliveryOf(change: Partial<Delivery> = {}): Delivery {
  return {
    deliveryId: "41",
    destinationId: "7",
    destinationKey: "crm",
    attempt: 1,
    replay: 0,
    event: {
      id: randomUUID(),
      name: "order.placed",
      aggregateType: "order",
      aggregateId: "9",
      occurredAt: "2030-01-31T12:00:05.250Z",
      payload: { total: 3 },
      meta: { trace: "t-1" },
    },
    ...change,
  };
}

/** A slow machine is no broker that hangs. */
function opened(options: RabbitmqOptions): DestinationDefinition {
  const destination = rabbitmq({ timeout: "2m", ...options });
  onTestFinished(() => destination.close?.());
  return destination;
}

const send = (destination: DestinationDefinition, delivery: Delivery = deliveryOf()) =>
  destination.deliver(delivery, deliveryContext());

describe("a broker that is not there", () => {
  test("R83: a refused connection fails as not sent, without the password", async () => {
    const port = await freePort();
    const destination = opened({
      url: `amqp://shop:${PASSWORD}@127.0.0.1:${port}`,
      exchange: "events",
    });
    const error = await send(destination).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: "delivery_failed",
      data: { reason: "connect", sent: "no", broker: `amqp://127.0.0.1:${port}` },
    });
    expect(String(error)).toContain("ECONNREFUSED");
    expect(JSON.stringify([String(error), error])).not.toContain(PASSWORD);
  });

  test("R83: one that accepts and says nothing fails in time, and again at the next try", async () => {
    const port = await listening(() => undefined);
    const destination = opened({
      url: `amqp://127.0.0.1:${port}`,
      exchange: "events",
      timeout: "300ms",
    });
    for (let i = 0; i < 2; i++) {
      await expect(send(destination)).rejects.toMatchObject({
        code: "delivery_failed",
        data: { reason: expect.stringMatching(/^(connect|timeout)$/), sent: "no" },
      });
    }
  });

  test("one that speaks another protocol fails with what it said, and ends nothing", async () => {
    const port = await listening((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    const destination = opened({ url: `amqp://127.0.0.1:${port}`, exchange: "e" });
    await expect(send(destination)).rejects.toMatchObject({ data: { reason: "connect" } });
  });

  test("a delivery whose signal has aborted publishes nothing", async () => {
    const destination = opened({ url: "amqp://127.0.0.1:1", exchange: "events" });
    const signal = AbortSignal.abort(new Error("stopping"));
    await expect(
      destination.deliver(deliveryOf(), deliveryContext({ signal })),
    ).rejects.toMatchObject({ data: { reason: "aborted", sent: "no" } });
  });
});

describe.skipIf(url === "")("with a broker", () => {
  test("R83, R88, R90: a message is confirmed, persistent, and carries the ids of event and delivery", async () => {
    const { exchange, take } = await brokerSide(url, "crm.order.*.9");
    const routingKey = "crm.{name}.{aggregateId}";
    const destination = opened({ url, exchange, routingKey, headers: { tenant: "cz", n: 4 } });
    const delivery = deliveryOf({ replay: 2 });
    expect(await send(destination, delivery)).toMatchObject({
      summary: expect.stringMatching(/^confirmed in \d+ ms$/),
    });
    const { fields, properties, content } = await take();
    expect(fields).toMatchObject({ exchange, routingKey: "crm.order.placed.9" });
    expect(properties).toMatchObject({
      messageId: delivery.event.id,
      type: "order.placed",
      timestamp: Date.parse("2030-01-31T12:00:05Z") / 1_000,
      contentType: "application/json",
      deliveryMode: 2,
      headers: {
        tenant: "cz",
        n: 4,
        "x-event-id": delivery.event.id,
        "x-event-name": "order.placed",
        "x-outbox-delivery-id": "41",
        "x-outbox-destination-id": "7",
        "x-outbox-destination-key": "crm",
        "x-outbox-replay": "2",
      },
    });
    expect(JSON.parse(content.toString())).toEqual({
      eventId: delivery.event.id,
      eventName: "order.placed",
      aggregate: { type: "order", id: "9" },
      occurredAt: "2030-01-31T12:00:05.250Z",
      payload: { total: 3 },
      meta: { trace: "t-1" },
    });
  });

  test("R83: a queue is reached without an exchange, and one that is missing is a failure", async () => {
    const { queue, take } = await brokerSide(url);
    const delivery = deliveryOf();
    await send(opened({ url, queue }), delivery);
    expect((await take()).properties.messageId).toBe(delivery.event.id);
    await expect(send(opened({ url, queue: `${queue}-missing` }))).rejects.toMatchObject({
      message: expect.stringContaining(`no queue "${queue}-missing"`),
      data: { reason: "unroutable", isReceiverUp: true, sent: "yes" },
    });
  });

  test("R83: a message that no queue takes is a failure, though the broker confirms it", async () => {
    const { exchange } = await brokerSide(url, "invoice.#");
    const destination = opened({ url, exchange });
    await expect(send(destination)).rejects.toMatchObject({
      code: "delivery_failed",
      message: expect.stringContaining(`"${exchange}" for routing key "order.placed"`),
      data: { reason: "unroutable", isReceiverUp: true },
    });
  });

  test("R83: one event returned for one destination key and taken for others is not mixed up", async () => {
    const { exchange } = await brokerSide(url, "good.#");
    const destination = opened({ url, exchange, routingKey: "{aggregateId}.x" });
    const { event } = deliveryOf();
    const outcomes = await Promise.allSettled(
      Array.from({ length: 200 }, (_, i) =>
        send(
          destination,
          deliveryOf({
            deliveryId: String(i),
            event: { ...event, aggregateId: i % 2 === 0 ? "good" : "bad" },
          }),
        ),
      ),
    );
    expect(outcomes.map((one) => one.status)).toEqual(
      Array.from({ length: 200 }, (_, i) => (i % 2 === 0 ? "fulfilled" : "rejected")),
    );
  });

  test("R83: a missing exchange fails clearly, and the destination works once it is declared", async () => {
    const { channel, queue, take } = await brokerSide(url);
    const exchange = `${queue}-late`;
    const destination = opened({ url, exchange });
    for (let i = 0; i < 2; i++) {
      await expect(send(destination)).rejects.toMatchObject({
        message: expect.stringContaining(`no exchange "${exchange}" (404)`),
        data: { reason: "no_exchange", sent: "unknown" },
      });
    }
    await channel.assertExchange(exchange, "fanout", { durable: false, autoDelete: true });
    await channel.bindQueue(queue, exchange, "");
    const delivery = deliveryOf();
    await send(destination, delivery);
    expect((await take()).properties.messageId).toBe(delivery.event.id);
  });

  test("R83: a nack is a failure", async () => {
    const { channel, exchange } = await brokerSide(url, "nothing");
    const full = `${exchange}-full`;
    await channel.assertQueue(full, {
      durable: false,
      exclusive: true,
      arguments: { "x-max-length": 1, "x-overflow": "reject-publish" },
    });
    await channel.bindQueue(full, exchange, "#");
    const destination = opened({ url, exchange });
    const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => send(destination)));
    const reasons = outcomes.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
    expect(reasons.length).toBeGreaterThan(0);
    expect(reasons[0]).toMatchObject({ data: { reason: "nack" } });
  });

  test("a wrong password fails as not sent, and is not shown", async () => {
    const wrong = new URL(url);
    wrong.username = "nobody";
    wrong.password = PASSWORD;
    const error = await send(opened({ url: wrong.href, exchange: "x" })).catch((thrown) => thrown);
    expect(error).toMatchObject({ data: { reason: "connect", sent: "no" } });
    expect(JSON.stringify([String(error), String(error.cause), error])).not.toContain(PASSWORD);
  });

  test("R83: deliveries at once share one connection, which closing ends and a later delivery makes anew", async () => {
    const { exchange } = await brokerSide(url);
    const proxy = await brokerProxy(url);
    const destination = opened({ url: proxy.url, exchange });
    await Promise.all(Array.from({ length: 500 }, () => send(destination)));
    expect(proxy.connections).toBe(1);
    await destination.close?.();
    await until("the connection is gone", () => proxy.open === 0);
    await send(destination);
    expect(proxy.connections).toBe(2);
  });

  test("R83: closing waits for the confirms under way", async () => {
    const { exchange } = await brokerSide(url);
    const destination = opened({ url, exchange });
    await send(destination);
    // few: it waits for seconds only
    const sending = Promise.all(Array.from({ length: 20 }, () => send(destination)));
    await Promise.all([sending, destination.close?.()]);
  });

  test("R83: a broker that has fallen silent leaves no timer behind when it is closed", async () => {
    const { exchange } = await brokerSide(url);
    const proxy = await brokerProxy(url);
    const made = timersOf(/amqplib/, "setInterval");
    const ended = vi.spyOn(globalThis, "clearInterval");
    const destination = opened({ url: proxy.url, exchange });
    await send(destination);
    proxy.mute();
    await destination.close?.();
    const beats = made.map(({ timer }) => timer);
    const cleared = ended.mock.calls.map(([timer]) => timer as unknown);
    vi.restoreAllMocks();
    expect(beats.length).toBeGreaterThan(0);
    expect(beats.filter((timer) => !cleared.includes(timer))).toEqual([]);
  });

  test("R83: large messages and more than the buffer holds arrive", async () => {
    const { exchange, channel, queue } = await brokerSide(url);
    const destination = opened({ url, exchange });
    const payload = { text: "x".repeat(200_000) };
    const { event } = deliveryOf();
    await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        send(destination, deliveryOf({ deliveryId: `${i}`, event: { ...event, payload } })),
      ),
    );
    expect((await channel.checkQueue(queue)).messageCount).toBe(100);
  });

  test("R83, R90: a lost confirm leaves the outcome unknown, and the next try has the same id", async () => {
    const { exchange, take } = await brokerSide(url);
    const proxy = await brokerProxy(url);
    const destination = opened({ url: proxy.url, exchange });
    const delivery = deliveryOf();
    proxy.loseNextConfirm();
    await expect(send(destination, delivery)).rejects.toMatchObject({
      data: { reason: "lost", sent: "unknown" },
    });
    await send(destination, { ...delivery, attempt: 2 });
    const both = [await take(), await take()];
    expect(both.map((one) => one.properties.messageId)).toEqual([
      delivery.event.id,
      delivery.event.id,
    ]);
    expect(proxy.connections).toBe(2);
  });

  test("R83: a broker that falls silent fails the delivery in time, as unknown", async () => {
    const { exchange } = await brokerSide(url);
    const proxy = await brokerProxy(url);
    const destination = opened({ url: proxy.url, exchange, timeout: "2s" });
    const isConfirmed = () =>
      send(destination).then(
        () => true,
        () => false,
      );
    await until("a delivery is confirmed, so that its connection stands", isConfirmed);
    proxy.mute();
    await expect(send(destination)).rejects.toMatchObject({
      data: { reason: "timeout", sent: "unknown" },
    });
    await destination.close?.();
    await until("the connection is gone", () => proxy.open === 0);
  });

  test("R83, R90: 2,000 events through a worker, all connections cut again and again: none is lost", async () => {
    const { exchange, channel, queue } = await brokerSide(url);
    const proxy = await brokerProxy(url);
    const received = new Map<string, number>();
    await channel.consume(
      queue,
      (message) => {
        const id = String(message?.properties.messageId);
        received.set(id, (received.get(id) ?? 0) + 1);
      },
      { noAck: true },
    );
    const app = defineApp({
      http: { allow: ["127.0.0.1"] },
      destinations: {
        crm: rabbitmq({
          url: proxy.url,
          exchange,
          retry: { attempts: 10_000, delays: ["100ms"] },
          breaker: false,
          timeout: "2m",
        }),
      },
      routes: [on("order.*").to("crm")],
    });
    const pawl = await connect(app, {
      databaseUrl: (await freshDatabase({ longLeases: true })).url,
      log: silentLogger,
    });
    onTestFinished(() => pawl.close());
    const record = () =>
      pawl.transaction(async (tx) => {
        const ids: string[] = [];
        for (let i = 0; i < 400; i++) {
          const event = { aggregate: ["order", i], payload: { i } } as const;
          ids.push((await pawl.record("order.placed", event, { tx })).id);
        }
        return ids;
      });
    const worker = await pawl.work({ concurrency: 50 });
    const ids: string[] = [];
    // of each share some are on their way when the connection is cut, and the next share needs another one
    for (let share = 1; share <= 5; share++) {
      if (share === 3) proxy.refuse();
      const recorded = await record();
      ids.push(...recorded);
      if (share === 3) {
        const failed = async () => (await failures(pawl.store)) > 0;
        await until("deliveries fail while nothing listens", failed);
        proxy.listen();
      }
      const come = () => recorded.filter((id) => received.has(id)).length;
      await until(`50 of share ${share} have come`, () => come() >= 50);
      proxy.cutAll();
    }
    await until("all have come", () => ids.every((id) => received.has(id)));
    await until("all are recorded", async () => (await open(pawl.store)) === 0);
    expect(received.size).toBe(2_000);
    expect(await outboxStats(pawl.store)).toMatchObject({ toRoute: 0, unrouted: 0 });
    expect(proxy.connections).toBeGreaterThanOrEqual(5);
    await worker.stop();
    await until("the worker's end closes the connection", () => proxy.open === 0);
  });
});

type Rows = { rows<Row>(text: string): Promise<Row[]> };

async function failures(store: Rows): Promise<number> {
  const [row] = await store.rows<{ n: number }>(
    "select count(*)::int as n from pawl.task where last_error ->> 'message' like '%cannot connect%'",
  );
  return row?.n ?? 0;
}

async function open(store: Rows): Promise<number> {
  const [row] = await store.rows<{ n: number }>("select count(*)::int as n from pawl.task");
  return row?.n ?? 0;
}

/** @returns the port of a server on this machine, closed after the tests */
async function listening(greet: (socket: net.Socket) => void): Promise<number> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket.on("error", () => undefined));
    greet(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as net.AddressInfo).port;
}
