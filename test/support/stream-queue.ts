/** A stream of its own at a real RabbitMQ, with messages in it, removed after the test. */

import { randomUUID } from "node:crypto";
import { connect } from "amqplib";
import { onTestFinished } from "vitest";

/** Answers its name. The messages have the type `order.placed` and the ids `m0`, `m1` … */
export async function streamOf(broker: string, bodies: readonly string[]): Promise<string> {
  const { name, publish } = await emptyStream(broker);
  await publish(bodies);
  return name;
}

export interface Stream {
  readonly name: string;
  /** Ids go on where they were. */
  readonly publish: (bodies: readonly string[]) => Promise<void>;
}

export async function emptyStream(broker: string): Promise<Stream> {
  const name = `pawl-test-${randomUUID()}`;
  const model = await connect(broker);
  const channel = await model.createConfirmChannel();
  await channel.assertQueue(name, { durable: true, arguments: { "x-queue-type": "stream" } });
  onTestFinished(async () => {
    await channel.deleteQueue(name);
    await model.close();
  });
  let n = 0;
  const publish = async (bodies: readonly string[]) => {
    for (const body of bodies) {
      channel.sendToQueue(name, Buffer.from(body), { type: "order.placed", messageId: `m${n}` });
      n += 1;
      if (n % 1_000 === 0) await channel.waitForConfirms();
    }
    await channel.waitForConfirms();
  };
  return { name, publish };
}
