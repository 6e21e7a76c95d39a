import { createServer } from "node:net";
import { afterEach, describe, expect, test, vi } from "vitest";
import { noProxy } from "../../src/sender/connection/no-proxy.ts";
import { openSender } from "../../src/sender/sender.ts";
import { deferred, httpServer, tcpServer } from "./local-servers.ts";

describe("R97: past the proxy goes", () => {
  test.each<[string, string, number, boolean]>([
    ["*", "anything.example", 443, true],
    ["erp.example", "erp.example", 443, true],
    ["erp.example", "a.b.ERP.example.", 443, true],
    ["erp.example", "evilerp.example", 443, false],
    ["erp.example", "erp.example.evil", 443, false],
    [".erp.example", "a.erp.example", 443, true],
    [".erp.example", "erp.example", 443, true],
    ["*.erp.example", "a.erp.example", 443, true],
    ["*.erp.example", "erp.example", 443, false],
    ["erp.example:8080", "erp.example", 8080, true],
    ["erp.example:8080", "erp.example", 80, false],
    ["*:8080", "erp.example", 8080, true],
    ["10.1.2.3", "10.1.2.3", 80, true],
    ["10.1.2.3:443", "10.1.2.3", 80, false],
    ["10.0.0.0/8", "10.200.0.1", 80, true],
    ["10.0.0.0/8", "11.0.0.1", 80, false],
    ["10.0.0.0/8", "erp.example", 80, false],
    ["::1", "[::1]", 80, true],
    ["[fd00::/8]:443", "[fd12::1]", 443, true],
    ["fd00::/8", "[fe80::1]", 443, false],
    ["LOCALHOST", "localhost", 80, true],
    ["erp.example.", "erp.example", 80, true],
  ])("by %s: %s port %d: %s", (entry, host, port, isDirect) => {
    expect(noProxy([entry], undefined)(host, port)).toBe(isDirect);
    expect(noProxy(undefined, `x.example, ${entry} ,,y.example`)(host, port)).toBe(isDirect);
    expect(noProxy(undefined, `x.example ${entry}`)(host, port)).toBe(isDirect);
  });

  test("nothing, where nothing is said", () => {
    for (const text of [undefined, "", " , ", "a/b", "http://erp.example"]) {
      expect(noProxy(undefined, text)("erp.example", 80)).toBe(false);
    }
  });

  test.each(["", "a b", "http://erp.example", "erp.example:99999x", "10.0.0.0/99", 7])(
    "and the entry %j is refused by its place",
    (entry) => {
      expect(() => openSender({ noProxy: ["ok.example", entry as string] })).toThrow(
        /`http\.noProxy\[1\]`/,
      );
    },
  );
});

describe("R97: with a proxy", () => {
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  test.each(["the option", "NO_PROXY", "no_proxy"])(
    "a host of %s is reached directly, another not, and a private one by leave alone",
    async (way) => {
      const server = await httpServer((request, response) => response.end(request.url));
      const proxied = deferred<string>();
      const proxy = await tcpServer((socket) =>
        socket.on("data", (data) => {
          proxied.resolve(data.toString());
          socket.end("HTTP/1.1 502 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }),
      );
      if (way !== "the option") vi.stubEnv(way, "127.0.0.0/8,localhost");
      const sender = openSender({
        proxy: proxy.url,
        allow: ["127.0.0.1"],
        ...(way === "the option" && { noProxy: ["127.0.0.0/8", "localhost"] }),
      });
      const send = (url: string) =>
        sender.send({ url, method: "POST", headers: {}, body: "x", timeoutMs: 60_000 });
      expect(await send(`${server.url}/direct`)).toMatchObject({ status: 200, body: "/direct" });
      expect(await send("http://erp.example/proxied")).toMatchObject({ status: 502 });
      expect(await proxied.promise).toContain("POST http://erp.example/proxied");
      await expect(send("http://127.0.0.2:1/")).rejects.toMatchObject({
        code: "address_forbidden",
      });
      await sender.close();
      await Promise.all([server.close(), proxy.close()]);
    },
  );

  test("no spelling of a metadata service or of this machine gets to it", async () => {
    const connections: unknown[] = [];
    const proxy = createServer((socket) => connections.push(socket.destroy()));
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    const { port } = proxy.address() as { port: number };
    const sender = openSender({
      proxy: `http://127.0.0.1:${port}`,
      allow: ["169.254.0.0/16", "*.internal", "0.0.0.0/0", "::/0"],
    });
    for (const host of [
      "metadata.google.internal",
      "metadata.google.internal.",
      "metadata.google.internal..",
      "metadata..google.internal...",
      ".metadata.google.internal",
      "169.254.169.254..",
      "0xa9.254.0xa9fe..",
      "localhost..",
      "a.localhost..",
      "localhost.localdomain",
      "ip6-loopback",
      "[fd20:ce::254]",
      "[::ffff:100.100.100.200]",
      "192.0.0.192",
    ]) {
      const request = { method: "POST", headers: {}, body: "x", timeoutMs: 60_000 };
      const sending = sender.send({ ...request, url: `http://${host}/latest` });
      await expect(sending, host).rejects.toMatchObject({ code: "address_forbidden" });
    }
    expect(connections).toEqual([]);
    await sender.close();
    proxy.close();
  });
});
