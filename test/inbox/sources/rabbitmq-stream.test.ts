import { randomUUID } from "node:crypto";
import { setImmediate as turn } from "node:timers/promises";
import { connect } from "amqplib";
import { describe, expect, test } from "vitest";
import { isBad, type Page, SourceAnswered, SourceUnavailable } from "../../../src/inbox/source.ts";
import { amqpStreamClient } from "../../../src/inbox/sources/amqp-stream-client.ts";
import {
  type RabbitmqStreamOptions,
  rabbitmqStreamSource,
} from "../../../src/inbox/sources/rabbitmq-stream.ts";
import type { StreamClient } from "../../../src/inbox/sources/stream-client.ts";
import { env } from "../../../src/secrets/secret.ts";
import { fakeStreamClient } from "../../../src/testing/index.ts";
import { brokerProxy } from "../../outbox/broker.ts";
import { streamOf } from "../../support/stream-queue.ts";
import { until } from "../../support/until.ts";
import { fetchContext } from "./reading.ts";

const broker = process.env.RABBITMQ_URL ?? "";
if (broker === "") {
  process.stderr.write(
    "skipped: tests with a RabbitMQ stream, since RABBITMQ_URL names no broker\n",
  );
}

const sourceOf = (options: Partial<RabbitmqStreamOptions>) =>
  rabbitmqStreamSource({ name: "orders", url: "amqp://localhost", stream: "orders", ...options });

/** What the database keeps: pages are durable before the source hears of it, and the cursor moves with them. */
function kept(source: ReturnType<typeof sourceOf>) {
  const pages: Page[] = [];
  let cursor = Number(source.start);
  const stop = new AbortController();
  const pause = { at: Number.POSITIVE_INFINITY };
  const deliver = async (page: Page) => {
    while (cursor >= pause.at) await turn();
    for (const { id } of page.events) {
      if (Number(id) <= cursor) throw new Error(`offset ${id} came at the cursor ${cursor}`);
    }
    await turn(); // as long as a commit may take, other messages arrive
    pages.push(page);
    cursor = Number(page.next);
  };
  return {
    pages,
    stop,
    /** No page is kept from this cursor on. */
    pause,
    get cursor() {
      return cursor;
    },
    open: () =>
      source.open(String(cursor), { ...fetchContext(stop.signal), limit: source.limit, deliver }),
    ids: () => pages.flatMap(({ events }) => events.map(({ id }) => Number(id))),
  };
}

describe("R37: behind a stream client, here one in memory,", () => {
  test("R45: a stream is read from its first offset, 0, which is not skipped, and each id once", async () => {
    const stream = fakeStreamClient();
    stream.publish(...Array.from({ length: 50 }, (_, n) => ({ n })));
    const to = kept(sourceOf({ client: stream.client, limit: 7 }));
    const opened = to.open();
    await until("all are acknowledged", () => stream.acked === 49);
    expect(stream.subscribedFrom).toEqual([0]);
    expect(to.ids()).toEqual(Array.from({ length: 50 }, (_, n) => n));
    expect(to.pages.every(({ events }) => events.length <= 7)).toBe(true);
    to.stop.abort();
    await opened;
  });

  test("R47: nothing is acknowledged before it is durable, and prefetch bounds what is on its way", async () => {
    const stream = fakeStreamClient();
    stream.publish(...Array.from({ length: 30 }, (_, n) => ({ n })));
    const source = sourceOf({ client: stream.client, prefetch: 10 });
    const stop = new AbortController();
    let commit: () => void = () => undefined;
    const deliver = () =>
      new Promise<void>((resolve, reject) => {
        commit = resolve;
        stop.signal.addEventListener("abort", () => reject(new Error("stopped")));
      });
    const opened = source.open("-1", { ...fetchContext(stop.signal), limit: 100, deliver });
    await until("as many are on their way as may be", () => stream.unacked === 10);
    expect(stream.acked).toBe(-1);
    commit();
    await until("the first page is acknowledged", () => stream.acked >= 0);
    stop.abort();
    await opened;
  });

  test("R47: after a lost connection it begins behind the cursor, wherever the client had got to", async () => {
    const stream = fakeStreamClient();
    stream.publish(...Array.from({ length: 10 }, (_, n) => ({ n })));
    const to = kept(sourceOf({ client: stream.client, limit: 3 }));
    const first = to.open();
    await until("a page is kept", () => to.pages.length > 0);
    stream.cut();
    await expect(first).rejects.toThrow(SourceUnavailable);
    await expect(first).rejects.toMatchObject({ sent: "no" });
    const stoodAt = to.cursor;
    stream.refuse(1);
    await expect(to.open()).rejects.toMatchObject({ sent: "no", message: /refused/ });
    const second = to.open();
    stream.publish({ n: 10 });
    await until("all are kept", () => to.cursor === 10);
    expect(stream.subscribedFrom).toEqual([0, stoodAt + 1]);
    expect(to.ids()).toEqual(Array.from({ length: 11 }, (_, n) => n));
    to.stop.abort();
    await second;
  });

  test("R47: what cannot be decoded is set aside with its bytes, and the rest goes on", async () => {
    const stream = fakeStreamClient();
    stream.publish('{"n":1}', "{broken", Buffer.from([0xff, 0x22]), '{"n":"\\u0000"}', '{"n":2}');
    const to = kept(sourceOf({ client: stream.client }));
    const opened = to.open();
    await until("all are kept", () => to.cursor === 4);
    to.stop.abort();
    await opened;
    const events = to.pages.flatMap((page) => page.events);
    expect(events.map((one) => isBad(one))).toEqual([false, true, true, true, false]);
    expect(events[2]).toMatchObject({ id: "2", raw: Buffer.from([0xff, 0x22]) });
  });

  test("R46: the body of a message that was set aside is read again by the source's `decode`", () => {
    const { client } = fakeStreamClient();
    const source = sourceOf({
      client,
      decode: ({ body }) => ({ payload: String(body).split(";") }),
    });
    expect(source.decode?.(Buffer.from("a;1"), "7")).toEqual({ id: "7", payload: ["a", "1"] });
    expect(() => sourceOf({ client }).decode?.(Buffer.from("a;1"), "7")).toThrow(/JSON/);
  });

  test("what `decode` says is the event; what it throws sets the message aside", async () => {
    const stream = fakeStreamClient();
    stream.publish("a", "b");
    const to = kept(
      sourceOf({
        client: stream.client,
        decode: ({ body }) => {
          const text = Buffer.from(body).toString();
          if (text === "b") throw new Error("b is no order");
          return { name: "order", occurredAt: "2030-01-02T03:04:05Z", payload: { text } };
        },
      }),
    );
    const opened = to.open();
    await until("both are kept", () => to.cursor === 1);
    to.stop.abort();
    await opened;
    const [good, bad] = to.pages.flatMap((page) => page.events);
    expect(good).toMatchObject({ id: "0", name: "order", payload: { text: "a" } });
    expect(bad).toMatchObject({ id: "1", error: "b is no order" });
  });

  test("R43: a stream that was made anew ends before the cursor, and is not waited on for ever", async () => {
    const stream = fakeStreamClient();
    stream.publish({ n: 0 });
    const source = sourceOf({ client: stream.client });
    const opened = source.open("500", {
      ...fetchContext(),
      limit: 10,
      deliver: async () => undefined,
    });
    await expect(opened).rejects.toThrow(SourceAnswered);
    await expect(opened).rejects.toThrow(/rewind the source to -1/);
  });

  test("what `deliver` throws ends the subscription, as it was thrown", async () => {
    const stream = fakeStreamClient();
    stream.publish({ n: 0 });
    const broken = new Error("the lease was lost");
    const deliver = () => Promise.reject(broken);
    const opened = sourceOf({ client: stream.client }).open("-1", {
      ...fetchContext(),
      limit: 10,
      deliver,
    });
    await expect(opened).rejects.toBe(broken);
    expect(stream.acked).toBe(-1);
  });

  test.each<[string, object, string]>([
    ["a URL of another kind", { url: "http://localhost" }, "invalid_url"],
    ["no stream", { stream: "" }, "invalid_option"],
    ["no prefetch, which streams need", { prefetch: 0 }, "invalid_option"],
    ["an unknown option", { steam: "x" }, "invalid_option"],
    ["a decode that is none", { decode: "json" }, "invalid_option"],
  ])("%s is refused when the source is defined", (_, options, code) => {
    expect(() => sourceOf(options)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining('source "orders"') }),
    );
  });

  test("no password is shown, and a variable that is missing is said", () => {
    const shown = sourceOf({ url: "amqp://user:pa55word@localhost" });
    expect(JSON.stringify(shown.config)).not.toContain("pa55word");
    const source = sourceOf({ url: env("PAWL_TEST_NO_SUCH_URL") });
    expect(() => source.check?.()).toThrow(/PAWL_TEST_NO_SUCH_URL/);
  });
});

describe.skipIf(broker === "")("R47: at a real RabbitMQ,", () => {
  test("10,000 messages, bad ones among them, arrive once and in order though the connection is cut 5 times", async () => {
    const count = 10_000;
    const isBroken = (n: number) => n % 997 === 5;
    const bodies = Array.from({ length: count }, (_, n) =>
      isBroken(n) ? `{"n":${n}` : `{"n":${n}}`,
    );
    const stream = await streamOf(broker, bodies);
    const proxy = await brokerProxy(broker);
    const to = kept(sourceOf({ url: proxy.url, stream, prefetch: 500, limit: 100 }));
    for (let cuts = 1; cuts <= 5; cuts += 1) {
      to.pause.at = cuts * 1_500;
      const opened = to.open();
      await until("a part is kept", () => to.cursor >= to.pause.at);
      proxy.cutAll();
      to.pause.at = Number.POSITIVE_INFINITY;
      await expect(opened).rejects.toMatchObject({ name: "SourceUnavailable", sent: "no" });
    }
    expect(to.cursor).toBeLessThan(count - 1);
    const last = to.open();
    await until("all are kept", () => to.cursor === count - 1);
    to.stop.abort();
    await last;
    expect(to.ids()).toEqual(Array.from({ length: count }, (_, n) => n));
    const events = to.pages.flatMap((page) => page.events);
    expect(events.filter((one) => isBad(one)).map(({ id }) => Number(id))).toEqual(
      bodies.flatMap((_, n) => (isBroken(n) ? [n] : [])),
    );
    expect(events[5]).toMatchObject({ raw: Buffer.from('{"n":5'), error: expect.any(String) });
    expect(events[7]).toMatchObject({
      name: "order.placed",
      payload: { n: 7 },
      meta: { messageId: "m7" },
    });
  });

  test("a stream that is not there, or not reached, is unsent: the next opening may find it", async () => {
    const stop = new AbortController();
    const context = { ...fetchContext(stop.signal), limit: 10, deliver: async () => undefined };
    const nowhere = sourceOf({ url: broker, stream: `pawl-test-${randomUUID()}` });
    await expect(nowhere.open("-1", context)).rejects.toMatchObject({
      sent: "no",
      message: /404|NOT_FOUND|no queue/i,
    });
    const dead = sourceOf({ url: "amqp://user:pa55word@127.0.0.1:1" });
    await expect(dead.open("-1", context)).rejects.toMatchObject({
      sent: "no",
      message: expect.not.stringContaining("pa55word"),
    });
  });

  test("a stream that is deleted while it is read ends the subscription", async () => {
    const stream = await streamOf(broker, ['{"n":0}']);
    const to = kept(sourceOf({ url: broker, stream }));
    // waited for from now on: it may end before the deletion is confirmed
    const ended = expect(to.open()).rejects.toThrow(SourceUnavailable);
    await until("the message is kept", () => to.cursor === 0);
    const model = await connect(broker);
    const channel = await model.createChannel();
    await channel.deleteQueue(stream);
    await ended;
    await model.close();
  });

  test("a stream that was made anew is told from a silent one", async () => {
    const stream = await streamOf(broker, ['{"n":0}', '{"n":1}']);
    const source = sourceOf({ url: broker, stream });
    const context = { ...fetchContext(), limit: 10, deliver: async () => undefined };
    await expect(source.open("700", context)).rejects.toThrow(/ends at offset 1/);
    let last: number | undefined;
    const real = amqpStreamClient({ url: () => broker, stream });
    const client: StreamClient = {
      subscribe: async (subscribing) => {
        const subscription = await real.subscribe(subscribing);
        const lastOffset = async () => {
          last = await subscription.lastOffset();
          return last;
        };
        return { ...subscription, lastOffset };
      },
    };
    const stop = new AbortController();
    const silent = sourceOf({ client, stream }).open("1", {
      ...context,
      ...fetchContext(stop.signal),
    });
    await until("its last offset was asked for", () => last === 1);
    stop.abort();
    await silent;
  });
});
