/**
 * For tests with a real RabbitMQ: exchanges and queues of their own, removed afterwards, and a TCP proxy before the
 * broker that can cut all connections, refuse new ones, and lose what the broker answers.
 */

import { randomUUID } from "node:crypto";
import net from "node:net";
import { type Channel, connect, type GetMessage } from "amqplib";
import { onTestFinished } from "vitest";
import { until } from "../support/until.ts";

/** A frame of AMQP 0-9-1 for channel 1 that begins a method of the class `basic`. */
const BASIC = Buffer.from([0, 60]);
const ACK = 80;

export interface BrokerSide {
  readonly exchange: string;
  readonly queue: string;
  readonly channel: Channel;
  /** Takes one message; waits for it. */
  readonly take: () => Promise<GetMessage>;
}

/** A topic exchange and a queue bound to it by `binding`, both unique. */
export async function brokerSide(url: string, binding = "#"): Promise<BrokerSide> {
  const name = `pawl-test-${randomUUID()}`;
  const model = await connect(url);
  const channel = await model.createChannel();
  await channel.assertExchange(name, "topic", { durable: false });
  await channel.assertQueue(name, { durable: false });
  await channel.bindQueue(name, name, binding);
  onTestFinished(async () => {
    await channel.deleteQueue(name);
    await channel.deleteExchange(name);
    await model.close();
  });
  return {
    exchange: name,
    queue: name,
    channel,
    take: () =>
      until("a message", async () => (await channel.get(name, { noAck: true })) || undefined),
  };
}

export interface BrokerProxy {
  readonly url: string;
  /** How many connections have been made through it. */
  readonly connections: number;
  readonly open: number;
  cutAll(): void;
  /** Cuts all connections, and new ones at once until `listen`. It keeps its port, which somebody else might take. */
  refuse(): void;
  listen(): void;
  /** The next confirm does not arrive; the connection is cut in its place. */
  loseNextConfirm(): void;
  /** What the broker says is kept back. */
  mute(): void;
}

export async function brokerProxy(brokerUrl: string): Promise<BrokerProxy> {
  const broker = new URL(brokerUrl);
  const target = { host: broker.hostname, port: Number(broker.port || 5672) };
  const sockets = new Set<net.Socket>();
  let connections = 0;
  let isConfirmLost = false;
  let isMute = false;
  let isAway = false;
  const server = net.createServer((client) => {
    if (isAway) {
      client.on("error", () => undefined);
      client.destroy();
      return;
    }
    connections += 1;
    const upstream = net.connect(target);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.on("data", (chunk) => upstream.write(chunk));
    upstream.on("data", (chunk) => {
      if (isMute) return;
      if (!isConfirmLost || !isConfirm(chunk)) return client.write(chunk);
      isConfirmLost = false;
      return client.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  const cutAll = () => {
    for (const socket of sockets) socket.destroy();
  };
  onTestFinished(() => {
    server.close();
    cutAll();
  });
  const own = new URL(brokerUrl);
  own.hostname = "127.0.0.1";
  own.port = String(port);
  return {
    url: own.href,
    get connections() {
      return connections;
    },
    get open() {
      return sockets.size / 2;
    },
    cutAll,
    refuse: () => {
      isAway = true;
      cutAll();
    },
    listen: () => {
      isAway = false;
    },
    loseNextConfirm: () => {
      isConfirmLost = true;
    },
    mute: () => {
      isMute = true;
    },
  };
}

/** Class and method follow the 7 bytes of a frame's head. */
function isConfirm(chunk: Buffer): boolean {
  return chunk.subarray(7, 9).equals(BASIC) && chunk.readUInt16BE(9) === ACK;
}
