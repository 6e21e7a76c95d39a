/** Sources that open connections of their own go through the guard, as HTTP does. */

import { createServer } from "node:net";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { SourceUnavailable } from "../../../src/inbox/source.ts";
import { postgresTableSource } from "../../../src/inbox/sources/postgres-table.ts";
import { rabbitmqStreamSource } from "../../../src/inbox/sources/rabbitmq-stream.ts";
import { defineApp, env } from "../../../src/index.ts";
import { openSender } from "../../../src/sender/sender.ts";
import { until } from "../../support/until.ts";
import { fetchContext, windowOf } from "./reading.ts";

const streamAt = (url: Parameters<typeof rabbitmqStreamSource>[0]["url"]) =>
  rabbitmqStreamSource({ name: "orders", url, stream: "orders" });
const tableAt = (databaseUrl: Parameters<typeof postgresTableSource>[0]["databaseUrl"]) =>
  postgresTableSource({ name: "shop", databaseUrl, table: "t" });

/** Counts who connects, and hangs up. */
async function countingServer(): Promise<{ port: number; connections(): number }> {
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return { port: (server.address() as { port: number }).port, connections: () => connections };
}

describe("R97: a stream of RabbitMQ", () => {
  test("at a private address is refused where it is defined, with the remedy and without its password", () => {
    for (const url of [
      "amqp://127.0.0.3",
      "amqp://[::1]:5672",
      "amqps://localhost",
      "amqp://a:pw@10.0.0.1/x",
    ]) {
      expect(() => defineApp({ sources: [streamAt(url)] })).toThrow(/http: \{ allow: \["/);
      expect(() => defineApp({ sources: [streamAt(url)] })).not.toThrow(/pw/);
    }
    defineApp({ sources: [streamAt("amqp://127.0.0.3")], http: { allow: ["127.0.0.3"] } });
  });

  test("whose URL is a secret, or a name that leads to a private address, is refused when connecting", async () => {
    const server = await countingServer();
    onTestFinished(() => void vi.unstubAllEnvs());
    const open = (allow: string[]) => {
      const context = { ...fetchContext(), http: openSender({ allow }), limit: 10 };
      const source = streamAt(env("PAWL_TEST_STREAM"));
      return source
        .open("-1", { ...context, deliver: async () => undefined })
        .catch((e: unknown) => e);
    };
    const refused = {
      name: "SourceUnavailable",
      sent: "no",
      message: expect.stringMatching(/refused, because/),
    };
    for (const host of ["127.0.0.1", "localhost"]) {
      vi.stubEnv("PAWL_TEST_STREAM", `amqp://guest:pa55word@${host}:${server.port}`);
      expect(await open([])).toMatchObject(refused);
      expect(String(await open(["10.0.0.0/8"]))).not.toContain("pa55word");
    }
    expect(server.connections()).toBe(0);
    expect(await open(["localhost"])).toMatchObject({
      message: expect.not.stringMatching(/refused, because/),
    });
    await until("it was connected to", () => server.connections() === 1);
  });
});

describe("R97: a table of another PostgreSQL", () => {
  const METADATA = [
    "postgresql://u:pw@169.254.169.254/db",
    "postgres://169.254.169.254:80/db",
    "postgresql://[fd00:ec2::254]/db",
    "postgresql://[::ffff:169.254.169.254]/db",
    "postgresql://metadata.google.internal/db",
    "postgresql://db.example/db?host=169.254.169.254",
  ];

  test("at the metadata address of a cloud is refused where it is defined, whatever is permitted", () => {
    for (const url of METADATA) {
      const define = () =>
        defineApp({
          sources: [tableAt(url)],
          http: { allow: ["169.254.169.254", "fd00:ec2::254"] },
        });
      expect(define, url).toThrow(/source "shop": .*a metadata service/);
      expect(define, url).not.toThrow(/pw/);
    }
    defineApp({
      sources: [
        tableAt("postgresql://10.0.0.7/db"),
        postgresTableSource({ name: "b", databaseUrl: "postgresql://localhost/db", table: "t" }),
      ],
    });
  });

  test("whose URL is a secret is refused when connecting, before a byte is sent", async () => {
    onTestFinished(() => void vi.unstubAllEnvs());
    for (const url of METADATA) {
      vi.stubEnv("PAWL_TEST_TABLE", url);
      const source = tableAt(env("PAWL_TEST_TABLE"));
      const failed = source.request(windowOf(source), fetchContext());
      await expect(failed, url).rejects.toBeInstanceOf(SourceUnavailable);
      await expect(failed, url).rejects.toMatchObject({
        sent: "no",
        message: expect.stringMatching(/a metadata service/),
      });
    }
  });

  test("at a private address is connected to: the app's code names it", async () => {
    const server = await countingServer();
    const source = tableAt(`postgresql://u@localhost:${server.port}/db`);
    await expect(source.request(windowOf(source), fetchContext())).rejects.toMatchObject({
      sent: "no",
    });
    await until("it was connected to", () => server.connections() === 1);
  });
});
