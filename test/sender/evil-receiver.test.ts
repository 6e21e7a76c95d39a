import type { Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import { PawlError } from "../../src/base/errors.ts";
import { type HttpAnswer, type HttpRequest, openSender } from "../../src/sender/sender.ts";
import {
  deadlineAfter,
  deferred,
  drip,
  httpServer,
  type LocalServer,
  tcpServer,
} from "./local-servers.ts";

const sender = openSender({ allow: ["127.0.0.0/8"] });
const open: LocalServer[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close()));
  await sender.close();
});

async function opened(server: Promise<LocalServer>): Promise<string> {
  const ready = await server;
  open.push(ready);
  return ready.url;
}

/** Answers each request with the same bytes, whatever they are. */
async function answering(bytes: string | Buffer): Promise<string> {
  return opened(tcpServer((socket) => socket.on("data", () => socket.write(bytes))));
}

function post(url: string, more: Partial<HttpRequest> = {}): HttpRequest {
  return { url, method: "POST", headers: {}, body: "x", timeoutMs: 60_000, ...more };
}

async function faultOf(answer: Promise<HttpAnswer>): Promise<PawlError> {
  const error = await answer.catch((thrown: unknown) => thrown);
  if (!(error instanceof PawlError)) throw new Error(`no PawlError: ${JSON.stringify(error)}`);
  return error;
}

/** Writes `piece` as fast as the other side reads; tells how much it took. */
function flood(socket: Socket, piece: string, bytesMax: number): () => number {
  let written = 0;
  const more = (): void => {
    while (!socket.destroyed && written < bytesMax) {
      written += piece.length;
      if (!socket.write(piece)) return;
    }
  };
  socket.on("drain", more);
  more();
  return () => written;
}

describe("R97: the total deadline ends", () => {
  const text = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";
  test.each([
    ["a status line that comes byte by byte", (i: number) => text[i % 8] ?? ""],
    ["headers that come byte by byte", (i: number) => (i < 20 ? (text[i] ?? "") : "x")],
    ["a body that comes byte by byte", (i: number) => (i === 0 ? text : "y")],
    [
      "chunks of one byte",
      (i: number) =>
        i === 0 ? "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" : "1\r\nz\r\n",
    ],
  ])("%s", async (_title, piece) => {
    const arrived = deferred<void>();
    let i = 0;
    const next = (): string => {
      if (i === 100) arrived.resolve();
      return piece(i++);
    };
    const url = await opened(
      tcpServer((socket) => {
        socket.on("close", () => arrived.resolve());
        drip(socket, next, 5);
      }),
    );
    const error = await deadlineAfter(arrived.promise, 1_000, () =>
      faultOf(sender.send(post(url, { timeoutMs: 1_000 }))),
    );
    // A status line of nonsense may be refused before the deadline.
    expect(["timeout", "protocol"]).toContain(error.data.reason);
    expect(error.data.sent).toBe("unknown");
  });

  test("an answer that never begins, for many requests at once, and their places are free again", async () => {
    let isEvil = true;
    const url = await opened(
      httpServer((_request, response) => {
        if (!isEvil) response.end("ok");
      }),
    );
    const faults = await Promise.all(
      Array.from({ length: 300 }, () => faultOf(sender.send(post(url, { timeoutMs: 500 })))),
    );
    expect(new Set(faults.map(({ data }) => data.reason))).toEqual(new Set(["timeout"]));
    isEvil = false;
    expect((await sender.send(post(url))).body).toBe("ok");
  });
});

describe("R97: memory stays flat under", () => {
  test.each([
    ["100 MB of one header", "HTTP/1.1 200 OK\r\nx-big: ", "z".repeat(65_536)],
    ["100 MB of small headers", "HTTP/1.1 200 OK\r\n", "a: b\r\n".repeat(10_000)],
    ["100 MB of a header's name", "HTTP/1.1 200 OK\r\n", "n".repeat(65_536)],
    [
      "100 MB of trailers",
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n",
      "t: u\r\n".repeat(10_000),
    ],
  ])("%s", async (_title, head, piece) => {
    let written = (): number => 0;
    const url = await opened(
      tcpServer((socket) =>
        socket.once("data", () => {
          socket.write(head);
          written = flood(socket, piece, 100_000_000);
        }),
      ),
    );
    const error = await faultOf(sender.send(post(url)));
    expect(error.data).toMatchObject({ reason: "headers_too_large", sent: "unknown" });
    expect(written()).toBeLessThan(50_000_000);
  });

  test.each([
    ["a reason phrase", "HTTP/1.1 200 ", "p".repeat(65_536)],
    [
      "a chunk extension",
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;",
      "e".repeat(65_536),
    ],
  ])("%s without end", async (_title, head, piece) => {
    const url = await opened(
      tcpServer((socket) =>
        socket.once("data", () => {
          socket.write(head);
          flood(socket, piece, Number.POSITIVE_INFINITY);
        }),
      ),
    );
    const before = process.memoryUsage().rss;
    const error = await faultOf(sender.send(post(url, { timeoutMs: 1_000 })));
    expect(["timeout", "protocol", "headers_too_large"]).toContain(error.data.reason);
    expect(process.memoryUsage().rss - before).toBeLessThan(400_000_000);
  });

  test("a gzip bomb: it is not asked for, never unpacked, and cut", async () => {
    const bomb = gzipSync(Buffer.alloc(200_000_000), { level: 1 });
    let asked: string | string[] | undefined = "not called";
    const url = await opened(
      httpServer((request, response) => {
        asked = request.headers["accept-encoding"];
        response.writeHead(200, { "content-encoding": "gzip" }).end(bomb);
      }),
    );
    const answer = await sender.send(post(url));
    expect(asked).toBeUndefined();
    expect(answer.truncated).toBe(true);
    expect(answer.body.length).toBeLessThanOrEqual(65_536);
  });
});

describe("R11: a fault with a clear reason is made of", () => {
  test.each([
    ["two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"],
    [
      "a length and chunks",
      "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ["a length below zero", "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"],
    ["a chunk of no size", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n"],
    ["a header with NUL", "HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n"],
    ["noise", Buffer.from([0x16, 3, 1, 0, 0xff, 0xfe, 0])],
  ])("%s", async (_title, bytes) => {
    const error = await faultOf(sender.send(post(await answering(bytes))));
    expect(error.data).toMatchObject({ reason: "protocol", sent: "unknown" });
  });

  test("a switch to a protocol that nobody asked for", async () => {
    const bytes = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    const error = await faultOf(sender.send(post(await answering(bytes))));
    expect(error.data.sent).toBe("unknown");
    expect(error.code).toBe("http_failed");
  });
});

test("headers named after parts of every object are read like all others", async () => {
  const names = ["__proto__", "constructor", "toString", "hasOwnProperty", "__defineGetter__"];
  const lines = names.map((name) => `${name}: ${name}\r\n`).join("");
  const bytes = `HTTP/1.1 200 OK\r\n${lines}${lines}content-length: 0\r\n\r\n`;
  const answer = await sender.send(post(await answering(bytes)));
  expect(answer.status).toBe(200);
  expect(answer.headers.constructor).toBe("constructor, constructor");
  expect(Object.getPrototypeOf(answer.headers)).toBe(Object.prototype);
});

test("bytes behind an answer are not taken for the answer of the next request", async () => {
  let served = 0;
  const url = await opened(
    tcpServer((socket) =>
      socket.on("data", () => {
        served += 1;
        const honest = `HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhonest`;
        socket.write(`${honest}HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged`);
      }),
    ),
  );
  const bodies = [];
  for (let i = 0; i < 10; i++) {
    bodies.push(
      await sender.send(post(url)).then(
        ({ body }) => body,
        () => "fault",
      ),
    );
  }
  expect(bodies).not.toContain("forged");
  expect(served).toBe(10);
});

test("an answer that comes before the body was read counts, and the reset behind it is ours to bear", async () => {
  const url = await opened(
    tcpServer((socket) => {
      socket.once("data", () => {
        socket.pause();
        socket.write("HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig");
      });
    }),
  );
  const answer = await sender.send(post(url, { body: "b".repeat(20_000_000) }));
  expect(answer).toMatchObject({ status: 413, body: "big" });
});

test("an early answer and a reset at once end in the answer or in a reset of unknown effect", async () => {
  const url = await opened(
    tcpServer((socket) =>
      socket.once("data", () => {
        socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", () =>
          socket.resetAndDestroy(),
        );
      }),
    ),
  );
  for (let i = 0; i < 20; i++) {
    const outcome = await sender
      .send(post(url, { body: "b".repeat(5_000_000) }))
      .catch((error: unknown) => error);
    if (!(outcome instanceof PawlError)) expect(outcome).toMatchObject({ status: 200 });
    else expect(outcome.data).toMatchObject({ reason: "reset", sent: "unknown" });
  }
});

test("of many receivers only the most recent keep their connection", async () => {
  let live = 0;
  let most = 0;
  const closedOnes = deferred<void>();
  const server = await tcpServer((socket) => {
    live += 1;
    most = Math.max(most, live);
    socket.on("close", () => {
      live -= 1;
      if (live === 0) closedOnes.resolve();
    });
    socket.on("data", () =>
      socket.write("HTTP/1.1 204 No Content\r\nkeep-alive: timeout=600\r\n\r\n"),
    );
  }, "0.0.0.0");
  open.push(server);
  const { port } = new URL(server.url);
  for (let i = 0; i < 600; i++) {
    await sender.send(post(`http://127.1.${i >> 8}.${i & 255}:${port}/`));
  }
  expect(most).toBeGreaterThan(100);
  // A closed connection is noticed by the server a moment later.
  expect(most).toBeLessThan(400);
  await sender.close();
  await closedOnes.promise;
});
