import { EventEmitter } from "node:events";
import { describe, expect, test } from "vitest";
import type { PawlError } from "../../src/base/errors.ts";
import type { Opened } from "../../src/outbox/destinations/rabbitmq-connect.ts";
import { openSession } from "../../src/outbox/destinations/rabbitmq-session.ts";
import { openUnconfirmed } from "../../src/outbox/destinations/rabbitmq-unconfirmed.ts";
import { until } from "../support/until.ts";

describe("what a connection says while it lasts", () => {
  const publication = {
    exchange: "e",
    routingKey: "k",
    content: Buffer.from("{}"),
    properties: { messageId: "m", headers: { "x-outbox-delivery-id": "1" } },
  };

  test("R83: a broker that blocks publishers is told apart from one that is down, and nothing is sent to it", async () => {
    const { session, model, published } = scriptedSession();
    model.emit("blocked", "low on memory");
    await expect(session.writable()).rejects.toMatchObject({
      message: expect.stringContaining("low on memory"),
      data: { reason: "blocked", sent: "no" },
    });
    await expect(session.publish(publication)).rejects.toMatchObject({ data: { sent: "no" } });
    expect(published).toHaveLength(0);
    model.emit("unblocked");
    await session.writable();
  });

  test("R83: a full buffer holds publications back until it has drained, or the connection is lost", async () => {
    const { session, model, channel, published } = scriptedSession();
    const first = session.publish(publication);
    const second = session.writable().then(() => session.publish(publication));
    await Promise.resolve();
    expect(published).toHaveLength(1);
    channel.emit("drain");
    await until("the second is published", () => published.length === 2);
    const third = session.writable();
    model.emit("close", new Error("gone"));
    const outcomes = await Promise.allSettled([first, second, third]);
    expect(
      outcomes.map((one) => one.status === "rejected" && (one.reason as PawlError).data.sent),
    ).toEqual(["unknown", "unknown", "no"]);
  });

  test("R83: a return of an earlier try that was given up never lets a later one pass for routed", () => {
    const unconfirmed = openUnconfirmed();
    const tries = [1, 2].map(() => unconfirmed.add(publication.properties, () => undefined));
    const other = { messageId: "m", headers: { "x-outbox-delivery-id": "2" } };
    const beside = unconfirmed.add(other, () => undefined);
    unconfirmed.returned(publication.properties);
    expect(tries.map((one) => one.isReturned)).toEqual([true, true]);
    expect(beside.isReturned).toBe(false);
    for (const one of [...tries, beside, beside]) unconfirmed.remove(one);
    expect(unconfirmed.size).toBe(0);
  });
});

/** A session whose connection the test plays; its buffer is full after each message. */
function scriptedSession() {
  const published: unknown[] = [];
  const model = Object.assign(new EventEmitter(), { connection: {} });
  const channel = Object.assign(new EventEmitter(), {
    publish: (...message: unknown[]) => {
      published.push(message);
      return false;
    },
  });
  const opened = { model, channel } as unknown as Opened;
  const session = openSession(opened, { broker: "b", exchange: "e", onOver: () => undefined });
  return { session, model, channel, published };
}
