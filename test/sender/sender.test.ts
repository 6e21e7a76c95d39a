import { afterEach, expect, test } from "vitest";
import { PawlError } from "../../src/base/errors.ts";
import { type HttpRequest, openSender, type SenderOptions } from "../../src/sender/sender.ts";
import {
  bodyOf,
  deadlineAfter,
  deferred,
  drip,
  freePort,
  httpServer,
  type LocalServer,
  tcpServer,
} from "./local-servers.ts";

const sender = openSender({ allow: ["127.0.0.1"] });

const open: Array<{ close(): Promise<void> }> = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close()));
  await sender.close();
});

async function opened(server: Promise<LocalServer>): Promise<string> {
  const ready = await server;
  open.push(ready);
  return ready.url;
}

function get(url: string, more: Partial<HttpRequest> = {}): HttpRequest {
  return { url, method: "GET", headers: {}, body: "", timeoutMs: 60_000, ...more };
}

async function failureOf(request: HttpRequest): Promise<PawlError> {
  const error = await sender.send(request).then(
    (answer) => new Error(`answered ${answer.status}`),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof PawlError)) throw error;
  return error;
}

function failureAfter(seen: Promise<void>, url: string): Promise<PawlError> {
  return deadlineAfter(seen, 1_000, () => failureOf(get(url, { timeoutMs: 1_000 })));
}

/** What drips, and when so much of it has that the sender has read some. */
function dripped(text: string): { piece: () => string; seen: Promise<void> } {
  const { promise, resolve } = deferred<void>();
  let pieces = 0;
  const piece = () => {
    pieces += 1;
    if (pieces === 20) resolve();
    return text;
  };
  return { piece, seen: promise };
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
  const answer = await sender.send(
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
    const answer = await sender.send(get(url, { method, body }));
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
  for (let i = 0; i < 20; i++) await sender.send(get(url));
  // A connection is free again a moment after its answer is complete, and one that idles for seconds is closed.
  expect(ports.size).toBeLessThan(10);
});

test("R97: a redirect is an answer and is not followed", async () => {
  const paths: Array<string | undefined> = [];
  const url = await opened(
    httpServer((request, response) => {
      paths.push(request.url);
      response.writeHead(302, { location: "/elsewhere" }).end();
    }),
  );
  const answer = await sender.send(get(`${url}/first`));
  expect(answer.status).toBe(302);
  expect(answer.headers.location).toBe("/elsewhere");
  expect(paths).toEqual(["/first"]);
});

test("R97: a body that drips for ever hits the total deadline, and the connection is destroyed", async () => {
  const [dripping, socketClosed] = [dripped("x"), deferred<void>()];
  const url = await opened(
    tcpServer((socket) => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n");
      drip(socket, dripping.piece, 20);
      socket.on("close", () => socketClosed.resolve());
    }),
  );
  const error = await failureAfter(dripping.seen, url);
  expect(error.code).toBe("http_failed");
  expect(error.data).toMatchObject({ reason: "timeout", sent: "unknown", status: 200 });
  expect(error.message).toContain("1000 ms");
  await socketClosed.promise;
});

test("R97: headers that drip for ever hit the total deadline", async () => {
  const dripping = dripped("x-a: 1\r\n");
  const url = await opened(
    tcpServer((socket) => {
      socket.write("HTTP/1.1 200 OK\r\n");
      drip(socket, dripping.piece, 20);
    }),
  );
  const error = await failureAfter(dripping.seen, url);
  expect(error.data).toMatchObject({ reason: "timeout", sent: "unknown" });
  // Its line was there: whoever judges by the status can.
  expect(error.data.status).toBe(200);
});

test("informational answers without end hit the total deadline and are no answer", async () => {
  const dripping = dripped("HTTP/1.1 103 Early Hints\r\n\r\n");
  const url = await opened(tcpServer((socket) => drip(socket, dripping.piece, 10)));
  const error = await failureAfter(dripping.seen, url);
  expect(error.data).toMatchObject({ reason: "timeout", sent: "unknown" });
  expect(error.data).not.toHaveProperty("status");
});

test("a receiver that accepts the connection and says nothing hits the deadline", async () => {
  const arrived = deferred<void>();
  const url = await opened(tcpServer((socket) => socket.once("data", () => arrived.resolve())));
  const error = await failureAfter(arrived.promise, url);
  expect(error.data).toMatchObject({ reason: "timeout", sent: "unknown" });
});

test("a TLS handshake that never ends hits the deadline, and nothing was sent", async () => {
  const url = await opened(tcpServer(() => {}));
  const error = await failureOf(get(url.replace("http:", "https:"), { timeoutMs: 200 }));
  expect(error.data).toMatchObject({ reason: "timeout", sent: "no" });
});

test("R97: an endless body is cut at the limit while it streams, and the connection is destroyed", async () => {
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
  const answer = await sender.send(get(url, { responseBytesMax: 1_000 }));
  expect(answer).toMatchObject({ status: 200, truncated: true, body: "y".repeat(1_000) });
  await socketClosed.promise;
});

test("a body of exactly the limit is whole; a character cut in half at the limit is left out", async () => {
  const url = await opened(httpServer((_request, response) => response.end("aaü")));
  const whole = await sender.send(get(url, { responseBytesMax: 4 }));
  expect(whole).toMatchObject({ body: "aaü", truncated: false });
  const cut = await sender.send(get(url, { responseBytesMax: 3 }));
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

test("R11: a refused connection says that nothing was sent", async () => {
  const error = await failureOf(get(`http://127.0.0.1:${await freePort()}/hooks`));
  expect(error.data).toMatchObject({ reason: "refused", sent: "no" });
  expect(error.message).toMatch(/connection refused; .*nothing was sent/);
});

test("R11: a connection that is reset after the request leaves its effect unknown", async () => {
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

test("plain HTTP on the other side of https is a TLS fault", async () => {
  const url = await opened(httpServer((_request, response) => response.end()));
  const error = await failureOf(get(url.replace("http:", "https:")));
  expect(error.data).toMatchObject({ reason: "tls", sent: "no" });
});

test("R11: a host name that does not exist is a DNS fault", async () => {
  const longest = "x".repeat(63);
  // no name server is asked for it: one that does not answer would keep it until the connecting is given up
  const error = await failureOf(get(`http://${longest}x.invalid/hooks`));
  expect(error.data).toMatchObject({ reason: "dns", sent: "no", errorCode: "ENOTFOUND" });
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
  expect(error.data.url).toBe(`http://127.0.0.1:${port}/x?…`);
  expect(JSON.stringify(error) + error.message).not.toMatch(/hunter2|s3cret|frag/);
});

test.each([["ftp://host/x"], ["not a url"], [""]])(
  "the URL %j is refused before anything else",
  async (url) => {
    expect((await failureOf(get(url))).code).toBe("invalid_url");
  },
);

test.each(["CONNECT", "connect", "GET / HTTP/1.1\r\nx:", ""])(
  "the method %j is refused, and nothing is sent",
  async (method) => {
    let connections = 0;
    const url = await opened(tcpServer((socket) => socket.on("data", () => (connections += 1))));
    const error = await failureOf(get(url, { method }));
    expect(error.data).toMatchObject({ reason: "invalid", sent: "no" });
    expect(connections).toBe(0);
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
  const slow = sender.send(get(`${url}/slow`));
  const answerNow = await arrived.promise;
  const closing = sender.close();
  answerNow();
  expect((await slow).body).toBe("slow");
  await closing;
  expect((await sender.send(get(url))).body).toBe("quick");
});

test("the times of an answer say where they went, and a connection that is used again has none", async () => {
  const url = await opened(httpServer((_request, response) => response.end("ok")));
  const first = await sender.send(get(url));
  expect(Object.keys(first.timings).sort()).toEqual([
    "connectMs",
    "firstByteMs",
    "queueMs",
    "totalMs",
  ]);
  expect(first.timings.totalMs).toBe(first.durationMs);
  const named = openSender({ allow: ["localhost"] });
  const looked = await named.send(get(url.replace("127.0.0.1", "localhost")));
  expect(looked.timings.dnsMs).toBeGreaterThanOrEqual(0);
  await named.close();
  const later = [];
  for (let i = 0; i < 10; i++) later.push((await sender.send(get(url))).timings);
  expect(later.some(({ connectMs }) => connectMs === undefined)).toBe(true);
});

test("the times of a failure say how far it came", async () => {
  const arrived = deferred<void>();
  const url = await opened(tcpServer((socket) => socket.once("data", () => arrived.resolve())));
  const { data } = await failureAfter(arrived.promise, url);
  expect(data.timings).toMatchObject({
    connectMs: expect.any(Number),
    totalMs: expect.any(Number),
  });
  expect(data.timings).not.toHaveProperty("firstByteMs");
});

test("a host header of the caller changes neither the connection nor the receiver", async () => {
  const url = await opened(httpServer((request, response) => response.end(request.headers.host)));
  const answer = await sender.send(get(url, { headers: { host: "elsewhere.example" } }));
  expect(answer.body).toBe("elsewhere.example");
});

test.each([
  [{ alow: [] }, "alow"],
  [{ proxy: "ftp://proxy.example" }, "http.proxy"],
  [{ proxy: "http://proxy.example/path" }, "http.proxy"],
  [{ proxy: "http://user:hunter2@proxy.example:99999" }, "http.proxy"],
  [{ ca: "/etc/ssl/hunter2.pem" }, "http.ca"],
  [{ ca: ["-----BEGIN CERTIFICATE-----\nhunter2\n-----END CERTIFICATE-----"] }, "http.ca[0]"],
])(
  "the options %j are refused when the sender is opened, and no secret is shown",
  (options, name) => {
    const open = (): unknown => openSender(options as SenderOptions);
    expect(open).toThrow(PawlError);
    expect(open).toThrow(name);
    expect(open).not.toThrow(/hunter2/);
  },
);
