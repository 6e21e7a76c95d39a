import { createServer } from "node:net";
import { expect, test } from "vitest";
import { defineApp, env } from "../../src/index.ts";
import { rabbitmq } from "../../src/outbox/destinations/rabbitmq.ts";
import type { Delivery } from "../../src/outbox/destinations/types.ts";
import { openSender } from "../../src/sender/sender.ts";
import { deliveryContext } from "../support/delivery.ts";

const DELIVERY: Delivery = {
  deliveryId: "41",
  destinationId: "7",
  destinationKey: "crm",
  attempt: 1,
  replay: 0,
  event: {
    id: "01914f3c-7d1e-7000-8000-000000000001",
    name: "order.placed",
    aggregateType: "order",
    aggregateId: "9",
    occurredAt: "2030-01-31T12:00:05.250Z",
    payload: {},
    meta: {},
  },
};

test("R97: a broker at a private address is refused where it is defined, with the remedy", () => {
  for (const url of [
    "amqp://127.0.0.3",
    "amqp://[::1]:5672",
    "amqps://localhost",
    "amqp://a:pw@10.0.0.1/x",
  ]) {
    const destinations = { crm: rabbitmq({ url, queue: "q" }) };
    expect(() => defineApp({ destinations })).toThrow(/http: \{ allow: \["/);
    expect(() => defineApp({ destinations })).not.toThrow(/pw/);
  }
  const destinations = { crm: rabbitmq({ url: "amqp://127.0.0.3", queue: "q" }) };
  defineApp({ destinations, http: { allow: ["127.0.0.3"] } });
});

test("R97: a broker whose URL is a secret, or a name that leads to a private address, is refused when connecting", async () => {
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const send = (allow: string[]) => {
    const http = openSender({ allow });
    const destination = rabbitmq({ url: env("PAWL_TEST_BROKER"), queue: "q" });
    return destination.deliver(DELIVERY, deliveryContext({ http })).catch((e: unknown) => e);
  };
  const refused = { code: "address_forbidden", data: { sent: "no" } };
  process.env.PAWL_TEST_BROKER = `amqp://guest:guest@127.0.0.1:${port}`;
  expect(await send([])).toMatchObject(refused);
  expect(await send(["127.0.0.1:1"])).toMatchObject(refused);
  process.env.PAWL_TEST_BROKER = `amqp://guest:guest@localhost:${port}`;
  expect(await send([])).toMatchObject(refused);
  expect(connections).toBe(0);
  expect(await send(["localhost"])).toMatchObject({ code: "delivery_failed" });
  expect(connections).toBe(1);
  delete process.env.PAWL_TEST_BROKER;
  server.close();
});
