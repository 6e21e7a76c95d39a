import { describe, expect, test } from "vitest";
import { env } from "../../src/index.ts";
import { type RabbitmqOptions, rabbitmq } from "../../src/outbox/destinations/rabbitmq.ts";
import {
  loadAmqplib,
  refuseMissingPackage,
} from "../../src/outbox/destinations/rabbitmq-connect.ts";
import { rabbitmqType } from "../../src/outbox/destinations/rabbitmq-type.ts";

const PASSWORD = "pa55-of-the-broker";
const EXCHANGE = { url: "amqp://localhost", exchange: "events" };

describe("what cannot work is refused when it is said:", () => {
  test.each<[string, unknown, string]>([
    ["no exchange and no queue", { url: "amqp://h" }, "`exchange`"],
    ["an empty exchange", { url: "amqp://h", exchange: "" }, "`exchange`"],
    ["a queue beside an exchange", { ...EXCHANGE, queue: "q" }, "`exchange`"],
    ["a routing key with an unknown part", { ...EXCHANGE, routingKey: "x.{nmae}" }, '"name"'],
    ["a routing key with an open brace", { ...EXCHANGE, routingKey: "x.{name" }, "closed"],
    ["a routing key beyond AMQP", { ...EXCHANGE, routingKey: "ä".repeat(128) }, "255"],
    ["a header of Pawl's", { ...EXCHANGE, headers: { "X-Event-Id": "1" } }, "set by Pawl"],
    ["a header that routes", { ...EXCHANGE, headers: { CC: "q" } }, "route"],
    ["a header without a value", { ...EXCHANGE, headers: { a: null } }, "no text"],
    ["headers that are none", { ...EXCHANGE, headers: "a" }, "headers"],
    ["an unknown option", { ...EXCHANGE, exchnage: "x" }, "exchange"],
    ["a timeout of no time", { ...EXCHANGE, timeout: 0 }, "timeout"],
  ])("%s", (_, options, part) => {
    const define = () => rabbitmq(options as RabbitmqOptions);
    expect(define).toThrow(expect.objectContaining({ code: "invalid_option" }));
    expect(define).toThrow(part);
  });

  test.each([
    "",
    "not a url",
    `http://u:${PASSWORD}@h`,
    `amqp://u:${PASSWORD}/x@h/v`,
    `amqp://u:1234/${PASSWORD}@h/v`,
    `amqp://u:1234?${PASSWORD}@h/v`,
    `amqp://u:1234#${PASSWORD}@h/v`,
    `amqp://h/a/${PASSWORD}`,
    "amqp:///v",
    7 as unknown as string,
    undefined as unknown as string,
  ])("a URL that cannot be meant, without showing any of it: %j", (bad) => {
    try {
      rabbitmq({ url: bad, exchange: "events" });
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ code: expect.stringMatching(/^invalid_(url|option)$/) });
      expect(JSON.stringify([String(error), error])).not.toContain("1234");
      expect(JSON.stringify([String(error), error])).not.toContain(PASSWORD);
    }
  });

  test("R83: what the catalogue shows holds no password and no value of a header", () => {
    const { config, type } = rabbitmq({
      url: `amqps://shop:${PASSWORD}@mq.example:5671/v?heartbeat=5`,
      exchange: "events",
      headers: { token: PASSWORD, n: 4, other: env("MQ_OTHER") },
    });
    expect(type).toBe("rabbitmq");
    expect(config).toEqual({
      url: "amqps://mq.example:5671/v",
      exchange: "events",
      routingKey: "{name}",
      headers: { token: "***", n: 4, other: "env:MQ_OTHER" },
    });
    expect(rabbitmq({ url: env("MQ_URL"), queue: "q" }).config).toEqual({
      url: "env:MQ_URL",
      queue: "q",
    });
  });

  test("a missing variable, and one that holds no URL, are found when a worker starts", () => {
    const destination = rabbitmq({ url: env("PAWL_TEST_MQ_URL"), exchange: "events" });
    expect(() => destination.check?.()).toThrow("PAWL_TEST_MQ_URL");
    process.env.PAWL_TEST_MQ_URL = `u:${PASSWORD}@h`;
    expect(() => destination.check?.()).toThrow(expect.objectContaining({ code: "invalid_url" }));
    process.env.PAWL_TEST_MQ_URL = "amqp://localhost";
    expect(() => destination.check?.()).not.toThrow();
    delete process.env.PAWL_TEST_MQ_URL;
  });

  test("without amqplib the message says what to install", async () => {
    const missing = () => Promise.reject(new Error("Cannot find package"));
    await expect(loadAmqplib(missing)).rejects.toThrow("npm i amqplib");
    await expect(loadAmqplib(missing)).rejects.toMatchObject({ code: "invalid_environment" });
    expect(() => refuseMissingPackage("pawl-no-such-package")).toThrow("npm i amqplib");
    expect(() => refuseMissingPackage()).not.toThrow();
  });

  test("R83: operators define it by fields, all of which it takes", () => {
    const { fields } = rabbitmqType;
    const define = (config: Record<string, unknown>) => rabbitmqType.define(config);
    const values = { url: { env: "X" }, queue: "q", exchange: undefined, timeout: "5s" };
    expect(define(values)).toMatchObject({ type: "rabbitmq", timeoutMs: 5_000 });
    const all = Object.fromEntries(Object.keys(fields).map((name) => [name, undefined]));
    expect(define({ ...all, ...values }).config).toEqual({ url: "env:X", queue: "q" });
    expect(fields.url?.kind).toBe("secret");
  });
});
