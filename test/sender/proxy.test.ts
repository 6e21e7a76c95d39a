import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, connect, type Socket } from "node:net";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { PawlError } from "../../src/base/errors.ts";
import { env } from "../../src/secrets/secret.ts";
import { type HttpRequest, openSender } from "../../src/sender/sender.ts";
import { type Authority, authority, HAS_OPENSSL, type Pair } from "./certificates.ts";
import { bodyOf, freePort, httpServer, httpsServer, type LocalServer } from "./local-servers.ts";

const CREDENTIALS = `Basic ${Buffer.from("user:p@ss").toString("base64")}`;

/** A real forward proxy: hands plain requests over and opens tunnels. All names lead to this machine. */
interface ForwardProxy extends LocalServer {
  seen: string[];
  authorizations: Array<string | undefined>;
}

async function forwardProxy(pair?: Pair, credentials?: string): Promise<ForwardProxy> {
  const seen: string[] = [];
  const authorizations: Array<string | undefined> = [];
  const isRefused = (request: IncomingMessage): boolean => {
    seen.push(`${request.method} ${request.url}`);
    authorizations.push(request.headers["proxy-authorization"]);
    return credentials !== undefined && request.headers["proxy-authorization"] !== credentials;
  };
  const server: Server = pair === undefined ? createServer() : createHttpsServer(pair);
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => sockets.add(socket.on("error", () => {})));
  server.on("request", async (request, response) => {
    if (isRefused(request)) {
      response.writeHead(407).end("who are you");
      return;
    }
    const target = new URL(request.url ?? "");
    const headers = { host: target.host, "x-via": "proxy", connection: "close" };
    const answer = await fetch(`http://127.0.0.1:${target.port}${target.pathname}`, {
      method: request.method ?? "GET",
      headers,
      body: await bodyOf(request),
    });
    response.writeHead(answer.status).end(await answer.text());
  });
  server.on("connect", (request, socket: Socket) => {
    if (isRefused(request)) {
      socket.end("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n");
      return;
    }
    const port = Number(new URL(`http://${request.url}`).port);
    const onward = connect(port, "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 Connection Established\r\n\r\n");
      onward.pipe(socket).pipe(onward);
    });
    onward.on("error", () => socket.destroy());
    socket.on("error", () => onward.destroy());
    socket.on("close", () => onward.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `${pair === undefined ? "http" : "https"}://127.0.0.1:${port}`,
    seen,
    authorizations,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

const open: Array<{ close(): Promise<void> }> = [];
afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing.close();
});

function opened<T extends { close(): Promise<void> }>(thing: T): T {
  open.push(thing);
  return thing;
}

function post(url: string, more: Partial<HttpRequest> = {}): HttpRequest {
  return { url, method: "POST", headers: { "x-a": "1" }, body: "hi", timeoutMs: 60_000, ...more };
}

async function faultOf(answer: Promise<unknown>): Promise<PawlError> {
  const error = await answer.catch((thrown: unknown) => thrown);
  if (!(error instanceof PawlError)) throw new Error(`no PawlError: ${JSON.stringify(error)}`);
  return error;
}

/** The port of a receiver, under a name that only the proxy knows. */
function named(url: string): string {
  return url.replace("127.0.0.1", "receiver.example");
}

function withUser(url: string): string {
  return url.replace("://", "://user:p%40ss@");
}

let receiver: LocalServer;
let received: Array<IncomingMessage["headers"]> = [];
beforeEach(async () => {
  received = [];
  receiver = opened(
    await httpServer(async (request, response) => {
      received.push(request.headers);
      response.writeHead(201).end(`${request.method} ${request.url} ${await bodyOf(request)}`);
    }),
  );
});

test("R97: a plain request is handed to the proxy whole, and the guard lets the proxy be local", async () => {
  const proxy = opened(await forwardProxy());
  const sender = opened(openSender({ proxy: proxy.url }));
  const target = named(receiver.url);
  const answer = await sender.send(post(`${target}/hooks?a=b`));
  expect(answer).toMatchObject({ status: 201, body: "POST /hooks hi" });
  expect(proxy.seen).toEqual([`POST ${target}/hooks?a=b`]);
  await sender.send(post(`${target}/hooks`));
  expect(received).toHaveLength(2);
});

test("the proxy gets its credentials, from the environment too, and the receiver does not", async () => {
  const proxy = opened(await forwardProxy(undefined, CREDENTIALS));
  process.env.PAWL_TEST_PROXY = withUser(proxy.url);
  try {
    for (const given of [withUser(proxy.url), env("PAWL_TEST_PROXY")]) {
      const sender = opened(openSender({ proxy: given }));
      expect((await sender.send(post(named(receiver.url)))).status).toBe(201);
    }
  } finally {
    delete process.env.PAWL_TEST_PROXY;
  }
  expect(proxy.authorizations).toEqual([CREDENTIALS, CREDENTIALS]);
  expect(JSON.stringify(received)).not.toContain("authorization");
});

test("a variable that is not set fails the request before anything is sent, and names it", async () => {
  const sender = opened(openSender({ proxy: env("PAWL_TEST_NO_PROXY") }));
  for (const scheme of ["http", "https"]) {
    const error = await faultOf(sender.send(post(`${scheme}://receiver.example/`)));
    expect(error.code).toBe("invalid_environment");
    expect(error.message).toContain("PAWL_TEST_NO_PROXY");
  }
});

test("R11: wrong credentials are the proxy's fault and no answer of the receiver", async () => {
  const proxy = opened(await forwardProxy(undefined, CREDENTIALS));
  const sender = opened(openSender({ proxy: proxy.url.replace("://", "://user:wrong@") }));
  const plain = await faultOf(sender.send(post(named(receiver.url))));
  expect(plain.data).toMatchObject({ reason: "proxy", status: 407 });
  const tunnel = await faultOf(sender.send(post("https://receiver.example/")));
  expect(tunnel.data).toMatchObject({ reason: "proxy", sent: "no" });
  expect(tunnel.message).toContain("407");
  expect(plain.message + tunnel.message).not.toMatch(/wrong/);
  expect(received).toEqual([]);
});

test("R11: a proxy that is not there is named as such", async () => {
  const url = `http://127.0.0.1:${await freePort()}`;
  const sender = opened(openSender({ proxy: withUser(url) }));
  for (const scheme of ["http", "https"]) {
    const error = await faultOf(sender.send(post(`${scheme}://receiver.example/`)));
    expect(error.data).toMatchObject({ reason: "proxy", sent: "no", errorCode: "ECONNREFUSED" });
    expect(error.message).toContain(`the proxy ${url}`);
    expect(error.message).not.toContain("p%40ss");
  }
});

test.each(["127.0.0.1", "[::1]", "localhost", "169.254.169.254", "metadata.google.internal"])(
  "R97: the guard refuses %s through a proxy too, and the proxy sees nothing",
  async (host) => {
    const proxy = opened(await forwardProxy());
    const sender = opened(openSender({ proxy: proxy.url }));
    for (const scheme of ["http", "https"]) {
      const error = await faultOf(sender.send(post(`${scheme}://${host}/`)));
      expect(error.code).toBe("address_forbidden");
    }
    expect(proxy.seen).toEqual([]);
  },
);

describe.skipIf(!HAS_OPENSSL)("over TLS", () => {
  const issuer = HAS_OPENSSL ? authority() : ({} as Authority);
  afterAll(() => issuer.close());

  async function secureReceiver(names: string): Promise<string> {
    const server = await httpsServer(issuer.issue(names), async (request, response) => {
      received.push(request.headers);
      response.end(`secure ${await bodyOf(request)}`);
    });
    return named(opened(server).url);
  }

  test.each(["http", "https"])(
    "R97: https goes through a tunnel of an %s proxy, with the receiver's own certificate",
    async (scheme) => {
      const pair = scheme === "https" ? issuer.issue("IP:127.0.0.1") : undefined;
      const proxy = opened(await forwardProxy(pair, CREDENTIALS));
      const sender = opened(openSender({ proxy: withUser(proxy.url), ca: issuer.cert }));
      const url = await secureReceiver("DNS:receiver.example");
      const answer = await sender.send(post(url));
      expect(answer).toMatchObject({ status: 200, body: "secure hi" });
      expect(answer.timings).toMatchObject({
        connectMs: expect.any(Number),
        tlsMs: expect.any(Number),
      });
      expect(proxy.seen).toEqual([`CONNECT ${new URL(url).host}`]);
      expect(JSON.stringify(received)).not.toContain("authorization");
      if (scheme === "https") {
        expect((await sender.send(post(named(receiver.url)))).status).toBe(201);
      }
    },
  );

  test("R97: a wrong certificate behind the proxy fails closed", async () => {
    const proxy = opened(await forwardProxy());
    const sender = opened(openSender({ proxy: proxy.url, ca: issuer.cert }));
    const error = await faultOf(sender.send(post(await secureReceiver("DNS:other.example"))));
    expect(error.data).toMatchObject({ reason: "tls", sent: "no" });
    expect(received).toEqual([]);
  });

  test("R97: a proxy with a certificate that is not trusted gets no credentials", async () => {
    const proxy = opened(await forwardProxy(issuer.issue("IP:127.0.0.1")));
    const sender = opened(openSender({ proxy: withUser(proxy.url) }));
    const error = await faultOf(sender.send(post("https://receiver.example/")));
    expect(error.data).toMatchObject({ reason: "proxy", sent: "no" });
    expect(proxy.authorizations).toEqual([]);
  });
});
