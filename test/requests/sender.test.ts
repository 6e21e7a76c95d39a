import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer as createHttpsServer } from "node:https";
import { createServer as createTcpServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { PawlError } from "../../src/base/errors.ts";
import { closeHttpSender, type HttpRequest, sendHttp } from "../../src/requests/sender.ts";
import {
  bodyOf,
  deferred,
  drip,
  freePort,
  httpServer,
  type LocalServer,
  tcpServer,
} from "./local-servers.ts";

const HAS_OPENSSL = spawnSync("openssl", ["version"]).status === 0;
if (!HAS_OPENSSL) process.stderr.write("skipped: two TLS tests need the openssl command\n");

const open: Array<{ close(): Promise<void> }> = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close()));
  await closeHttpSender();
});

async function opened(server: Promise<LocalServer>): Promise<string> {
  const ready = await server;
  open.push(ready);
  return ready.url;
}

function get(url: string, more: Partial<HttpRequest> = {}): HttpRequest {
  return { url, method: "GET", headers: {}, body: "", timeoutMs: 5_000, ...more };
}

async function failureOf(request: HttpRequest): Promise<PawlError> {
  const error = await sendHttp(request).then(
    (answer) => new Error(`answered ${answer.status}`),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof PawlError)) throw error;
  return error;
}

test("method, headers, path, query and body arrive, and the whole answer comes back", async () => {
  const url = await opened(
    httpServer(async (request, response) => {
      response.setHeader("x-two", ["a", "b"]);
      response.writeHead(207, { "Content-Type": "text/plain" });
      const { method, url: path, headers } = request;
      response.end(`${method} ${path} ${String(headers["x-one"])} ${await bodyOf(request)} ü`);
    }),
  );
  const answer = await sendHttp(
    get(`${url}/a/b?c=d`, { method: "PATCH", headers: { "x-one": "1" }, body: "hé" }),
  );
  expect(answer).toMatchObject({ status: 207, body: "PATCH /a/b?c=d 1 hé ü", truncated: false });
  expect(answer.headers).toMatchObject({ "content-type": "text/plain", "x-two": "a, b" });
  expect(answer.durationMs).toBeGreaterThanOrEqual(0);
});

test("bytes are sent unchanged, and GET and DELETE carry a body too", async () => {
  const url = await opened(
    httpServer(async (request, response) =>
      response.end(`${request.method} ${await bodyOf(request)}`),
    ),
  );
  const body = new TextEncoder().encode("bytes");
  for (const method of ["GET", "DELETE", "PUT"]) {
    const answer = await sendHttp(get(url, { method, body }));
    expect(answer.body).toBe(`${method} bytes`);
  }
});

test("connections are kept and used again", async () => {
  const ports = new Set<number | undefined>();
  const url = await opened(
    httpServer((request, response) => {
      ports.add(request.socket.remotePort);
      response.end("ok");
    }),
  );
  for (let i = 0; i < 20; i++) await sendHttp(get(url));
  // Two, not one: a connection is free again a moment after its answer is complete.
  expect(ports.size).toBeLessThanOrEqual(2);
});

test("a redirect is an answer and is not followed", async () => {
  const paths: Array<string | undefined> = [];
  const url = await opened(
    httpServer((request, response) => {
      paths.push(request.url);
      response.writeHead(302, { location: "/elsewhere" }).end();
    }),
  );
  const answer = await sendHttp(get(`${url}/first`));
  expect(answer.status).toBe(302);
  expect(answer.headers.location).toBe("/elsewhere");
  expect(paths).toEqual(["/first"]);
});

test("a body that drips for ever hits the total deadline, and the connection is destroyed", async () => {
  const socketClosed = deferred<void>();
  const url = await opened(
    tcpServer((socket) => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n");
      drip(socket, () => "x", 20);
      socket.on("close", () => socketClosed.resolve());
    }),
  );
  const error = await failureOf(get(url, { timeoutMs: 300 }));
  expect(error.code).toBe("http_failed");
  expect(error.data).toMatchObject({ reason: "timeout", sent: "unknown", status: 200 });
  expect(error.message).toContain("300 ms");
  await socketClosed.promise;
});

test("headers that drip for ever hit the total deadline", async () => {
  let n = 0;
  const url = await opened(
    tcpServer((socket) => {
      socket.write("HTTP/1.1 200 OK\r\n");
      drip(socket, () => `x-${n++}: 1\r\n`, 20);
    }),
  );
  const error = await failureOf(get(url, { timeoutMs: 300 }));
  expect(error.data).toMatchObject({ reason: "timeout", sent: "unknown" });
  expect(error.data).not.toHaveProperty("status");
});

test("informational answers without end hit the total deadline and are no answer", async () => {
  const url = await opened(
    tcpServer((socket) => drip(socket, () => "HTTP/1.1 103 Early Hints\r\n\r\n", 10)),
  );
  const error = await failureOf(get(url, { timeoutMs: 300 }));
  expect(error.data).toMatchObject({ reason: "timeout", sent: "unknown" });
  expect(error.data).not.toHaveProperty("status");
});

test("a receiver that accepts the connection and says nothing hits the deadline", async () => {
  const url = await opened(tcpServer(() => {}));
  const error = await failureOf(get(url, { timeoutMs: 200 }));
  expect(error.data).toMatchObject({ reason: "timeout", sent: "unknown" });
});

test("a TLS handshake that never ends hits the deadline, and nothing was sent", async () => {
  const url = await opened(tcpServer(() => {}));
  const error = await failureOf(get(url.replace("http:", "https:"), { timeoutMs: 200 }));
  expect(error.data).toMatchObject({ reason: "timeout", sent: "no" });
});

test.skipIf(!HAS_OPENSSL)(
  "a request given up while it waited for a connection is never written afterwards",
  async () => {
    const bytes: Buffer[] = [];
    const held = deferred<Socket>();
    // A TLS port that answers the handshake only after the deadline has passed.
    const { key, cert } = selfSigned();
    const secure = createHttpsServer({ key, cert }, (_request, response) => {
      bytes.push(Buffer.from("a request arrived"));
      response.end("late");
    });
    const front = createTcpServer({ pauseOnConnect: true }, (socket) => held.resolve(socket));
    front.listen(0, "127.0.0.1");
    await once(front, "listening");
    const { port } = front.address() as { port: number };
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
    try {
      const error = await failureOf(get(`https://127.0.0.1:${port}`, { timeoutMs: 200 }));
      expect(error.data).toMatchObject({ reason: "timeout", sent: "no" });
      const socket = await held.promise;
      const socketClosed = once(socket, "close");
      secure.emit("connection", socket);
      socket.resume();
      await socketClosed;
      expect(bytes).toEqual([]);
    } finally {
      delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
      front.close();
      secure.close();
    }
  },
);

test("an endless body is cut at the limit while it streams, and the connection is destroyed", async () => {
  const socketClosed = deferred<void>();
  const url = await opened(
    httpServer((request, response) => {
      const more = (): void => {
        while (!response.destroyed && response.write("y".repeat(65_536)));
      };
      response.on("drain", more);
      request.socket.on("close", () => socketClosed.resolve());
      more();
    }),
  );
  const answer = await sendHttp(get(url, { responseBytesMax: 1_000 }));
  expect(answer).toMatchObject({ status: 200, truncated: true, body: "y".repeat(1_000) });
  await socketClosed.promise;
});

test("a body of exactly the limit is whole; a character cut in half at the limit is left out", async () => {
  const url = await opened(httpServer((_request, response) => response.end("aaü")));
  const whole = await sendHttp(get(url, { responseBytesMax: 4 }));
  expect(whole).toMatchObject({ body: "aaü", truncated: false });
  const cut = await sendHttp(get(url, { responseBytesMax: 3 }));
  expect(cut).toMatchObject({ body: "aa", truncated: true });
});

test("100 MB of headers are refused after the first few KB", async () => {
  let written = 0;
  const url = await opened(
    tcpServer((socket) => {
      socket.write("HTTP/1.1 200 OK\r\n");
      const line = `x-big: ${"z".repeat(4_000)}\r\n`;
      const more = (): void => {
        while (!socket.destroyed && written < 100_000_000) {
          written += line.length;
          if (!socket.write(line)) return;
        }
      };
      socket.on("drain", more);
      more();
    }),
  );
  const error = await failureOf(get(url));
  expect(error.data).toMatchObject({ reason: "headers_too_large", sent: "unknown" });
  expect(written).toBeLessThan(50_000_000);
});

test("a refused connection says that nothing was sent", async () => {
  const error = await failureOf(get(`http://127.0.0.1:${await freePort()}/hooks`));
  expect(error.data).toMatchObject({ reason: "refused", sent: "no" });
  expect(error.message).toMatch(/connection refused; .*nothing was sent/);
});

test("a connection that is reset after the request leaves its effect unknown", async () => {
  const url = await opened(
    tcpServer((socket) => socket.once("data", () => socket.resetAndDestroy())),
  );
  const error = await failureOf(get(url));
  expect(error.data).toMatchObject({ reason: "reset", sent: "unknown" });
});

test("a body that ends before its announced length is a failure, not a short answer", async () => {
  const url = await opened(
    tcpServer((socket) =>
      socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")),
    ),
  );
  const error = await failureOf(get(url));
  expect(error.data).toMatchObject({ sent: "unknown", status: 200 });
});

test("what is not HTTP is a protocol fault", async () => {
  const url = await opened(
    tcpServer((socket) => socket.once("data", () => socket.end("220 mail ready\r\n"))),
  );
  expect((await failureOf(get(url))).data).toMatchObject({ reason: "protocol" });
});

test.skipIf(!HAS_OPENSSL)(
  "a certificate that nobody trusts is a TLS fault before anything is sent",
  async () => {
    const { key, cert } = selfSigned();
    let requests = 0;
    const server = createHttpsServer({ key, cert }, (_request, response) => {
      requests += 1;
      response.end();
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    const error = await failureOf(get(`https://127.0.0.1:${port}`));
    expect(error.data).toMatchObject({ reason: "tls", sent: "no" });
    expect(requests).toBe(0);
    server.close();
  },
);

test("plain HTTP on the other side of https is a TLS fault", async () => {
  const url = await opened(httpServer((_request, response) => response.end()));
  const error = await failureOf(get(url.replace("http:", "https:")));
  expect(error.data).toMatchObject({ reason: "tls", sent: "no" });
});

test("a host name that does not exist is a DNS fault", async () => {
  const error = await failureOf(get("http://nowhere.invalid/hooks"));
  expect(error.data).toMatchObject({ reason: "dns", sent: "no" });
});

test("an abort ends the request at once, before or after it was sent", async () => {
  const arrived = deferred<void>();
  const url = await opened(httpServer(() => arrived.resolve()));
  const before = await failureOf(get(url, { signal: AbortSignal.abort() }));
  expect(before.data).toMatchObject({ reason: "aborted", sent: "no" });

  const stop = new AbortController();
  const after = failureOf(get(url, { signal: stop.signal }));
  await arrived.promise;
  stop.abort();
  expect((await after).data).toMatchObject({ reason: "aborted", sent: "unknown" });
});

test("credentials and values of the query appear in no error", async () => {
  const port = await freePort();
  const error = await failureOf(
    get(`http://user:hunter2@127.0.0.1:${port}/x?token=s3cret&a=b#frag`),
  );
  expect(error.data.url).toBe(`http://127.0.0.1:${port}/x?token=***&a=***`);
  expect(JSON.stringify(error) + error.message).not.toMatch(/hunter2|s3cret|frag/);
});

test.each([["ftp://host/x"], ["not a url"], [""]])(
  "the URL %j is refused before anything else",
  async (url) => {
    expect((await failureOf(get(url))).code).toBe("invalid_url");
  },
);

test("a header that would begin another header is refused, and nothing is sent", async () => {
  let requests = 0;
  const url = await opened(
    httpServer((_request, response) => {
      requests += 1;
      response.end();
    }),
  );
  const error = await failureOf(get(url, { headers: { "x-a": "1\r\nx-b: 2" } }));
  expect(error.data).toMatchObject({ reason: "invalid", sent: "no" });
  expect(requests).toBe(0);
});

test.each([[0], [-1], [Number.NaN], [2 ** 31]])(
  "a timeout of %d ms is refused",
  async (timeoutMs) => {
    expect((await failureOf(get("http://127.0.0.1", { timeoutMs }))).code).toBe("invalid_option");
  },
);

test("closing waits for what is under way, and a later request opens a new connection", async () => {
  const arrived = deferred<() => void>();
  const url = await opened(
    httpServer((request, response) => {
      if (request.url === "/slow") arrived.resolve(() => response.end("slow"));
      else response.end("quick");
    }),
  );
  const slow = sendHttp(get(`${url}/slow`));
  const answerNow = await arrived.promise;
  const closing = closeHttpSender();
  answerNow();
  expect((await slow).body).toBe("slow");
  await closing;
  expect((await sendHttp(get(url))).body).toBe("quick");
});

function selfSigned(): { key: Buffer; cert: Buffer } {
  const folder = mkdtempSync(join(tmpdir(), "pawl-tls-"));
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const made = spawnSync(
    "openssl",
    `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ${key} -out ${cert} -days 2 -subj /CN=localhost`.split(
      " ",
    ),
    { encoding: "utf8" },
  );
  if (made.status !== 0) throw new Error(`openssl: ${made.stderr}`);
  const pair = { key: readFileSync(key), cert: readFileSync(cert) };
  rmSync(folder, { recursive: true });
  return pair;
}
