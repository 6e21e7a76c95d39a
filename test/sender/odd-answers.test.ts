import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { PawlError } from "../../src/base/errors.ts";
import { type Delivery, webhook } from "../../src/outbox/destinations/index.ts";
import { judge } from "../../src/requests/dispatch/judge.ts";
import { readPayload } from "../../src/requests/dispatch/payload.ts";
import { sendForStatus } from "../../src/sender/by-status.ts";
import { type HttpRequest, openSender } from "../../src/sender/sender.ts";
import { deliveryContext } from "../support/delivery.ts";
import { deadlineAfter, deferred, type LocalServer, tcpServer } from "./local-servers.ts";

const http = openSender({ allow: ["127.0.0.1"] });
const open: LocalServer[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close()));
});
afterAll(() => http.close());

/** The sender's own: what was written is not what has arrived. */
const sockets: Socket[] = [];
const noteSocket = (message: unknown): void => {
  sockets.push((message as { socket: Socket }).socket);
};
subscribe("net.client.socket", noteSocket);
afterAll(() => unsubscribe("net.client.socket", noteSocket));

/** When the sender's socket at that port has read so much, and has handed it over. Timers may be held meanwhile. */
async function untilRead(port: number, bytes: number): Promise<void> {
  // one that is closed may be of an earlier server, which had the same port
  const hasRead = () =>
    sockets.some((one) => !one.destroyed && one.remotePort === port && one.bytesRead >= bytes);
  while (!hasRead()) await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
}

/** Answers each request by the pieces, each in a packet of its own; then `end` does what it says. `read`: by the sender. */
async function answering(
  pieces: readonly string[],
  end: "keep" | "close" | "reset" = "keep",
): Promise<{ url: string; requests: string[]; read: () => Promise<void> }> {
  const requests: string[] = [];
  const written = deferred<void>();
  const write = (socket: Socket, [piece, ...rest]: readonly string[]): void => {
    if (piece === undefined) {
      if (end === "close") socket.end();
      if (end === "reset") setImmediate(() => socket.resetAndDestroy());
      written.resolve();
    } else if (!socket.destroyed) {
      socket.write(piece, () => setImmediate(() => write(socket, rest)));
    }
  };
  const server = await tcpServer((socket) => {
    socket.setNoDelay(true);
    let read = "";
    socket.on("data", (data) => {
      read += data.toString();
      // The body of every request here ends so.
      if (!read.endsWith("BODY")) return;
      requests.push(read);
      read = "";
      write(socket, pieces);
    });
  });
  open.push(server);
  const bytes = Buffer.byteLength(pieces.join(""));
  const read = async () => {
    await written.promise;
    await untilRead(Number(new URL(server.url).port), bytes);
  };
  return { url: server.url, requests, read };
}

function post(url: string, timeoutMs = 60_000): HttpRequest {
  return { url, method: "POST", headers: {}, body: "BODY", timeoutMs };
}

const INTERIM = "HTTP/1.1 100 Continue\r\n\r\n";
const HINTS = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nlink: </b>\r\n\r\n";
const PROCESSING = "HTTP/1.1 102 Processing\r\n\r\n";
const EMPTY = "HTTP/1.1 204 No Content\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nx-a: b\r\ncontent-length: 4\r\n\r\nfine";

describe("R113: an interim answer is none, and the request is sent once", () => {
  test.each<[string, string[], number, string]>([
    ["100, then 204", [INTERIM, EMPTY], 204, ""],
    ["100 and 204 in one packet", [INTERIM + EMPTY], 204, ""],
    ["103, then 200", [HINTS, OK], 200, "fine"],
    ["several, then 200", [INTERIM, HINTS, PROCESSING, INTERIM, OK], 200, "fine"],
    ["100 byte by byte", Array.from(INTERIM + OK, (byte) => byte), 200, "fine"],
    ["100 after an empty line and of HTTP/1.0", ["\r\nHTTP/1.0 100 Go\r\n\r\n", OK], 200, "fine"],
    ["199, of which nobody has heard", ["HTTP/1.1 199 X\r\n\r\n", EMPTY], 204, ""],
    ["100, then 500", [INTERIM, "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"], 500, ""],
    ["a body that looks like one", [OK.replace("fine", "HTTP"), ""], 200, "HTTP"],
  ])("%s", async (_title, pieces, status, body) => {
    const { url, requests } = await answering(pieces);
    expect(await http.send(post(url))).toMatchObject({ status, body, truncated: false });
    // On a connection that is kept too.
    expect(await http.send(post(url))).toMatchObject({ status, body });
    expect(requests).toHaveLength(2);
  });

  test("a body of interim answers is the body", async () => {
    const body = INTERIM.repeat(3);
    const head = `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n`;
    const { url } = await answering([head, INTERIM, INTERIM, INTERIM]);
    expect((await http.send(post(url))).body).toBe(body);
  });

  test.each<[string, string[], "keep" | "close", RegExp]>([
    ["without end", [PROCESSING.repeat(10_000)], "keep", /too large/],
    [
      "with headers without end",
      [`HTTP/1.1 103 Hints\r\n${"a: b\r\n".repeat(20_000)}`],
      "keep",
      /too large/,
    ],
    ["and then nothing", [INTERIM, HINTS], "close", /closed before the answer/],
    ["cut in the middle", ["HTTP/1.1 10"], "close", /closed before the answer/],
  ])("%s is no answer", async (_title, pieces, end, message) => {
    const { url } = await answering(pieces, end);
    const error = (await sendForStatus(http, post(url)).catch((e: unknown) => e)) as PawlError;
    expect(error).toBeInstanceOf(PawlError);
    expect(error.message).toMatch(message);
    expect(error.data).toMatchObject({ sent: "unknown" });
  });

  test("101 is a fault that says so", async () => {
    const { url } = await answering([
      "HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    ]);
    await expect(sendForStatus(http, post(url))).rejects.toThrow(/answered 101: it switches/);
  });
});

describe("R113: an answer that has no body is judged by its status", () => {
  test.each<[string, string[]]>([
    ["204 with a length", ["HTTP/1.1 204 X\r\ncontent-length: 5\r\n\r\n"]],
    ["304 with a length", ["HTTP/1.1 304 X\r\ncontent-length: 5\r\netag: e\r\n\r\n"]],
    ["204 with a length and a body", ["HTTP/1.1 204 X\r\ncontent-length: 5\r\n\r\nHTTP/"]],
    ["204 with an answer as its body", [`${EMPTY}HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n`]],
    [
      "304 and a body in a packet of its own",
      ["HTTP/1.1 304 X\r\ncontent-length: 5\r\n\r\n", "12345"],
    ],
    ["204 in chunks", ["HTTP/1.1 204 X\r\ntransfer-encoding: chunked\r\n\r\n", "0\r\n\r\n"]],
    ["204 after a 100, with a length", [INTERIM, "HTTP/1.1 204 X\r\ncontent-length: 5\r\n\r\n"]],
    ["205 with no content", ["HTTP/1.1 205 X\r\ncontent-length: 0\r\n\r\n"]],
  ])("%s, and what follows it is no answer of the next request", async (_title, pieces) => {
    const status = Number(/ (204|304|205) /.exec(pieces.join(""))?.[1]);
    const { url, requests } = await answering(pieces);
    for (let i = 0; i < 3; i++) {
      expect(await http.send(post(url))).toMatchObject({ status, body: "" });
    }
    expect(requests).toHaveLength(3);
  });
});

const SHORT = "content-length: 100\r\n\r\nonly this";
/** Behind the status line; what comes of the body, and what is said of the rest. */
const BROKEN: Array<[string, string, "keep" | "close" | "reset", RegExp]> = [
  ["a body that never ends", `retry-after: 7\r\n${SHORT}`, "keep", /no complete answer within/],
  ["headers that never end", "retry-after: 7\r\nx-a: ", "keep", /no complete answer within/],
  ["a body that breaks off", `retry-after: 7\r\n${SHORT}`, "close", /closed before|not valid HTTP/],
  ["a reset", `retry-after: 7\r\n${SHORT}`, "reset", /closed before|not valid HTTP/],
  ["chunks that break off", "transfer-encoding: chunked\r\n\r\n5\r\nab", "close", /closed before/],
  ["chunks of no size", "transfer-encoding: chunked\r\n\r\nxyz\r\n", "keep", /not valid HTTP/],
  [
    "trailers without end",
    `transfer-encoding: chunked\r\n\r\n0\r\n${"t: u\r\n".repeat(9_000)}`,
    "keep",
    /too large/,
  ],
  ["headers that are too large", `x-big: ${"z".repeat(50_000)}`, "keep", /too large/],
  ["too many headers", "a: b\r\n".repeat(20_000), "keep", /too large/],
  ["a header that is none", "no header\r\n\r\n", "keep", /not valid HTTP/],
  ["a header with NUL", "x: a\0b\r\n\r\n", "keep", /not valid HTTP/],
  ["two lengths", "content-length: 1\r\ncontent-length: 2\r\n\r\nab", "keep", /not valid HTTP/],
  ["headers that break off", "x-a: b\r\n", "close", /closed before/],
];

const DELIVERY: Delivery = {
  deliveryId: "4711",
  destinationId: "12",
  destinationKey: "erp",
  attempt: 1,
  replay: 0,
  event: {
    id: "01914f3c-7d1e-7000-8000-000000000001",
    name: "order.placed",
    aggregateType: "order",
    aggregateId: "o-1",
    occurredAt: "2024-08-14T10:00:00.000Z",
    payload: { last: "BODY" },
    meta: {},
  },
};
const REQUEST = {
  id: "r-1",
  method: "POST",
  host: "x",
  body: "BODY",
  envelope: false,
  success: ["2xx"],
  stop: [422],
  attempts: 3,
  intervalMs: 1_000,
  timeoutMs: 1_000,
};

async function caught(run: Promise<unknown>): Promise<Record<string, unknown>> {
  const error = await run.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof PawlError)) throw new Error(`no PawlError: ${String(error)}`);
  return { ...error.data, message: error.message };
}

describe("R113: what a status accepts is accepted, and what it refuses is judged by it, behind it", () => {
  test.each(BROKEN)("%s", async (_title, rest, end, trouble) => {
    const ended = async (line: string): Promise<StatusOf> => {
      const { url, requests, read } = await answering([`HTTP/1.1 ${line}\r\n`, rest], end);
      const send = () => sendForStatus(http, post(url));
      const isTimeout = String(trouble).includes("within");
      const answer = await (isTimeout ? deadlineAfter(read(), 60_000, send) : send());
      expect(requests).toHaveLength(1);
      return { url, answer };
    };
    const ok = await ended("202 Accepted");
    expect(ok.answer).toMatchObject({ status: 202, truncated: true });
    expect(ok.answer.trouble).toMatch(trouble);
    const payload = (url: string) => readPayload({ ...REQUEST, url });
    const success = judge(ok.answer, payload(ok.url));
    expect(success).toMatchObject({ status: 202, trouble: ok.answer.trouble });
    expect(success.summary).toMatch(/^202 in \d+ ms; then /);
    const stop = await ended("422 No");
    expect(await caught(run(() => judge(stop.answer, payload(stop.url))))).toMatchObject({
      status: 422,
      stop: true,
      trouble: stop.answer.trouble,
    });
    const busy = await ended("503 Busy");
    const waits = rest.startsWith("retry-after") && rest.includes("\r\n\r\n");
    expect(await caught(run(() => judge(busy.answer, payload(busy.url))))).toMatchObject({
      status: 503,
      retryAfterMs: waits ? 7_000 : 1_000,
      ...(waits && { pauseMs: 7_000 }),
    });
  });

  interface StatusOf {
    url: string;
    answer: Awaited<ReturnType<typeof sendForStatus>>;
  }
  async function run<T>(act: () => T): Promise<T> {
    return act();
  }

  test.each<[string, object | null]>([
    ["202 Accepted", null],
    ["410 Gone", { permanent: true, isReceiverUp: true, disable: /410 Gone/ }],
    ["429 Slow", { retryAfterMs: 7_000, pauseMs: 7_000 }],
    ["400 Bad", { isReceiverUp: true }],
    ["301 Moved", {}],
  ])("a webhook: %s with a body that breaks off", async (line, consequences) => {
    const secret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
    const { url, requests } = await answering(
      [`HTTP/1.1 ${line}\r\nretry-after: 7\r\n${SHORT}`],
      "close",
    );
    const server = webhook({ url, secret, timeout: "1m" });
    // Its body ends in other words than the server waits for.
    const delivery = { ...DELIVERY };
    const sending = server.deliver(delivery, deliveryContext({ http: bodyEnding(http) }));
    const trouble = expect.stringMatching(/closed before|not valid HTTP/);
    if (consequences === null) {
      expect(await sending).toMatchObject({ status: 202, response: "only this", trouble });
    } else {
      const { disable, ...rest } = consequences as { disable?: RegExp };
      const data = await caught(sending);
      expect(data).toMatchObject({ status: Number(line.slice(0, 3)), trouble, ...rest });
      if (disable !== undefined) expect(data.disable).toMatch(disable);
    }
    expect(requests).toHaveLength(1);
  });
});

/** Marks the end of each body as the server wants it. */
function bodyEnding(sender: typeof http): typeof http {
  return {
    ...sender,
    send: (request) => sender.send({ ...request, body: `${String(request.body)}BODY` }),
  };
}
