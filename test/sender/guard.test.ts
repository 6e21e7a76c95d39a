import { once } from "node:events";
import { createServer, type LookupFunction, type Server } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { PawlError } from "../../src/base/errors.ts";
import { connectTcp } from "../../src/sender/connection/tcp.ts";
import { openGuard } from "../../src/sender/guard/guard.ts";
import { type HttpRequest, openSender, refuseForbiddenUrl } from "../../src/sender/sender.ts";
import { PRIVATE_HOSTS, PUBLIC_ADDRESSES } from "./guard-spellings.ts";
import { deferred, tcpServer } from "./local-servers.ts";

/** On every address of this machine, so that whatever connects to it is counted. */
let server: Server;
let port: number;
let connections = 0;
let arrivedAt: Array<string | undefined> = [];
/** Stands for a public address, and is permitted instead: no test connects to somebody else's. */
const PUBLIC = "127.0.0.2";

beforeAll(async () => {
  server = createServer((socket) => {
    connections += 1;
    arrivedAt.push(socket.localAddress);
    socket.on("error", () => {});
    socket.once("data", () => socket.end("HTTP/1.1 204 No Content\r\n\r\n"));
  });
  server.listen(0);
  await once(server, "listening");
  const address = server.address();
  port = address !== null && typeof address === "object" ? address.port : 0;
});
beforeEach(() => {
  connections = 0;
  arrivedAt = [];
});
afterAll(() => {
  server.close();
});

function post(url: string): HttpRequest {
  return { url, method: "POST", headers: {}, body: "x", timeoutMs: 60_000 };
}

/** Answers each call with the next of `answers`, the last one for ever. */
function resolver(...answers: string[][]): LookupFunction & { calls: number } {
  const lookup = (
    _name: string,
    _options: object,
    done: (error: null, found: Array<{ address: string; family: number }>) => void,
  ): void => {
    const addresses = answers[Math.min(lookup.calls, answers.length - 1)] ?? [];
    lookup.calls += 1;
    const found = addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
    setImmediate(() => done(null, found));
  };
  lookup.calls = 0;
  return lookup as LookupFunction & { calls: number };
}

async function sendWith(
  options: Parameters<typeof openSender>[0],
  url: string,
): Promise<number | PawlError> {
  const sender = openSender(options);
  try {
    return (await sender.send(post(url))).status;
  } catch (error) {
    if (error instanceof PawlError) return error;
    throw error;
  } finally {
    await sender.close();
  }
}

async function refusalOf(
  options: Parameters<typeof openSender>[0],
  url: string,
): Promise<PawlError> {
  const outcome = await sendWith(options, url);
  if (!(outcome instanceof PawlError)) throw new Error(`answered ${outcome}`);
  return outcome;
}

describe("R97: nothing connects to", () => {
  test("at least 60 spellings are tried", () => {
    expect(new Set(PRIVATE_HOSTS).size).toBeGreaterThanOrEqual(100);
  });

  test.each(PRIVATE_HOSTS)("%s", async (host) => {
    for (const scheme of ["http", "https"]) {
      const error = await refusalOf({}, `${scheme}://${host}:${port}/hooks?token=s3cret`);
      expect(error.code).toBe("address_forbidden");
      expect(error.data).toMatchObject({ sent: "no", reason: "forbidden" });
      expect(error.message).not.toContain("s3cret");
    }
    expect(connections).toBe(0);
  });

  test.each(["[fe80::1%25eth0]", "[::1%25lo]", "127.0.0.1%00.public.example", "256.256.256.256"])(
    "%s, which is no URL at all",
    async (host) => {
      expect((await refusalOf({}, `http://${host}:${port}/`)).code).toBe("invalid_url");
      expect(connections).toBe(0);
    },
  );
});

describe("R97: a name is judged by its addresses:", () => {
  test.each([
    ["a private one", ["127.0.0.1"]],
    ["a public and a private one", ["93.184.215.14", "127.0.0.1"]],
    ["a private and a public one", ["::1", "2606:4700::1111"]],
    ["a mapped one", ["::ffff:127.0.0.1"]],
    ["one with a zone", ["fe80::1%lo"]],
    ["what is no address", ["localhost"]],
  ])("%s makes 0 connections", async (_title, addresses) => {
    const error = await refusalOf({ lookup: resolver(addresses) }, `http://evil.example:${port}/`);
    expect(error.code).toBe("address_forbidden");
    expect(error.data).toMatchObject({ host: "evil.example", sent: "no" });
    expect(connections).toBe(0);
  });

  test.each([
    ["first public and then private", [[PUBLIC], ["127.0.0.1"]]],
    [
      "private and public in turn",
      [["127.0.0.1"], [PUBLIC], ["127.0.0.1"], [PUBLIC], ["127.0.0.1"]],
    ],
  ])("a resolver that says %s makes 0 connections to the private one", async (_title, answers) => {
    const lookup = resolver(...answers);
    const sender = openSender({ lookup, allow: [PUBLIC] });
    for (let i = 0; i < 8; i++) {
      // Each answer ends its connection, so that the next request makes a lookup of its own.
      await sender.send(post(`http://evil.example:${port}/`)).catch((error: unknown) => {
        expect(error).toMatchObject({ code: "address_forbidden" });
      });
    }
    await sender.close();
    expect(lookup.calls).toBeGreaterThanOrEqual(8);
    expect(arrivedAt.length).toBeGreaterThan(0);
    expect(arrivedAt.filter((address) => !address?.endsWith(PUBLIC))).toEqual([]);
  });

  test("a socket that came to another address than was checked is closed before a byte is written", async () => {
    const bytes: Buffer[] = [];
    const socketClosed = deferred<void>();
    const receiver = await tcpServer((socket) => {
      socket.on("data", (chunk) => bytes.push(chunk)).on("close", () => socketClosed.resolve());
    });
    const refusal = { host: "evil.example", address: "127.0.0.1", reason: "loopback" };
    let checks = 0;
    const connecting = connectTcp(
      {
        hostname: "evil.example",
        port: Number(new URL(receiver.url).port),
        lookup: resolver(["127.0.0.1"]),
        onSocket: () => {},
        guard: {
          refuseHost: () => undefined,
          refuseAddresses: () => (++checks > 1 ? refusal : undefined),
        },
      },
      {},
    );
    await expect(connecting).rejects.toMatchObject({ reason: "forbidden", refusal });
    await socketClosed.promise;
    expect(bytes).toEqual([]);
    await receiver.close();
  });

  test("what was looked up is what is connected to: one lookup for each connection", async () => {
    const lookup = resolver(["127.0.0.1"], ["127.0.0.2"]);
    const allow = ["127.0.0.1"];
    expect(await sendWith({ lookup, allow }, `http://once.example:${port}/`)).toBe(204);
    expect(lookup.calls).toBe(1);
    expect(connections).toBe(1);
  });

  test("a resolver that answers in the old form, with one address, is refused", async () => {
    const lookup = ((_name: string, _options: object, done: (...args: unknown[]) => void) =>
      done(null, "127.0.0.1", 4)) as unknown as LookupFunction;
    const error = await refusalOf({ lookup }, `http://evil.example:${port}/`);
    expect(error.data).toMatchObject({ reason: "dns", sent: "no" });
    expect(connections).toBe(0);
  });

  test("the message names the address, the name and the entry that would permit it", async () => {
    const error = await refusalOf(
      { lookup: resolver(["10.1.2.3"]) },
      "http://erp.example/hooks?k=v",
    );
    expect(error.message).toBe(
      'http://erp.example/hooks?…: refused, because erp.example is at 10.1.2.3, private; nothing was sent. If it is intended, permit it in the app: http: { allow: ["erp.example"] }',
    );
    expect(error.data).toMatchObject({
      address: "10.1.2.3",
      url: "http://erp.example/hooks?…",
    });
  });
});

test("R97: a redirect to a private address makes 0 connections to it", async () => {
  const front = createServer((socket) =>
    socket.once("data", () =>
      socket.end(`HTTP/1.1 301 Moved\r\nlocation: http://127.0.0.1:${port}/\r\n\r\n`),
    ),
  );
  front.listen(0, "127.0.0.2");
  await once(front, "listening");
  const address = front.address();
  const frontPort = address !== null && typeof address === "object" ? address.port : 0;
  expect(await sendWith({ allow: ["127.0.0.2"] }, `http://127.0.0.2:${frontPort}/`)).toBe(301);
  expect(connections).toBe(0);
  front.close();
});

describe("R97: the public internet is not refused:", () => {
  const guard = openGuard([]);
  test.each(PUBLIC_ADDRESSES)("%s", (address) => {
    expect(guard.refuseHost(address, 443)).toBeUndefined();
    expect(guard.refuseAddresses("public.example", 443, [address])).toBeUndefined();
  });

  test.each(["localhost.example", "notlocalhost", "metadata.example", "127.0.0.1.nip.example"])(
    "%s, a name to be looked up",
    (name) => expect(guard.refuseHost(name, 443)).toBeUndefined(),
  );
});

test("a definition is refused for what is certain, and not for what is looked up later", () => {
  const check =
    (url: string, allow: string[] = []) =>
    () =>
      refuseForbiddenUrl(new URL(url), allow);
  expect(check("http://10.0.0.1/")).toThrow("private");
  expect(check("https://localhost/")).toThrow("loopback");
  expect(check("https://localhost/", ["localhost"])).not.toThrow();
  expect(check("https://erp.example/")).not.toThrow();
});
