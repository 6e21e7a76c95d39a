import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createRequire } from "node:module";
import { type AddressInfo, connect } from "node:net";
import fastify from "fastify";
import { afterEach, expect, test } from "vitest";
import { defineKey, signJwt } from "../../src/requests/keys/index.ts";
import {
  answerRejected,
  eventVerifier,
  expressVerifier,
  generateWebhookSecret,
  PawlError,
  type ReceiveOptions,
  readVerified,
  rejectedResponse,
  requestVerifier,
  signWebhook,
  type Verifier,
  verifiedOf,
  verifyFastify,
  verifyFetch,
  type WebhookEvent,
} from "../../src/webhooks/index.ts";

type Next = (error?: unknown) => void;
type Handler = (req: IncomingMessage, res: ServerResponse, next: Next) => unknown;
interface ExpressApp {
  use(handler: Handler | ((error: unknown, ...rest: Parameters<Handler>) => unknown)): void;
  post(path: string, ...handlers: Handler[]): void;
  listen(port: number, host: string): Server;
}
interface Express {
  (): ExpressApp;
  json(): Handler;
  raw(options: { type: string }): Handler;
}
const express = createRequire(import.meta.url)("express") as Express;

const SECRET = generateWebhookSecret();
const verifier = eventVerifier({ secrets: SECRET });
const EVENT = {
  eventId: "0199-1",
  eventName: "order.placed.v1",
  aggregate: { type: "order", id: "42" },
  occurredAt: "2026-01-02T03:04:05.678Z",
  payload: { note: "naïve ☃" },
  meta: {},
};

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function urlOf(server: Server): Promise<string> {
  closing.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  if (!server.listening) await new Promise((resolve) => server.once("listening", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks`;
}

function answerOf({ eventId, eventName, payload }: WebhookEvent): string {
  return JSON.stringify({ eventId, eventName, payload });
}

function serveHttp(options: ReceiveOptions): Promise<string> {
  const handle = async (req: IncomingMessage, res: ServerResponse) => {
    res.end(answerOf(await readVerified(req, verifier, options)));
  };
  const server = createServer((req, res) => {
    handle(req, res).catch((error: unknown) => answerRejected(error, res));
  });
  return urlOf(server.listen(0, "127.0.0.1"));
}

function serveExpress(options: ReceiveOptions): Promise<string> {
  const app = express();
  app.post("/hooks", expressVerifier(verifier, options), (req, res) => {
    res.end(answerOf(verifiedOf(req, verifier)));
  });
  app.use(express.json());
  return urlOf(app.listen(0, "127.0.0.1"));
}

async function serveFastify(options: ReceiveOptions): Promise<string> {
  const app = fastify();
  closing.push(() => app.close());
  await app.register(async (scope) => {
    verifyFastify(scope, verifier, options);
    scope.post("/hooks", async (request) => answerOf(verifiedOf(request, verifier)));
  });
  app.post("/json", async (request) => request.body);
  return `${await app.listen({ port: 0, host: "127.0.0.1" })}/hooks`;
}

/** A handler of fetch behind Node's server, as frameworks put it there. */
function serveFetch(options: ReceiveOptions): Promise<string> {
  const handle = async (request: Request): Promise<Response> => {
    try {
      return new Response(answerOf(await verifyFetch(request, verifier, options)));
    } catch (error) {
      return rejectedResponse(error);
    }
  };
  const server = createServer(async (req, res) => {
    const headers = new Headers(req.headers as Record<string, string>);
    const init = { method: "POST", headers, body: req, duplex: "half" };
    const answer = await handle(new Request("http://host/hooks", init as unknown as RequestInit));
    res.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text());
  });
  return urlOf(server.listen(0, "127.0.0.1"));
}

const RECEIVERS = [
  ["http", serveHttp],
  ["Express", serveExpress],
  ["Fastify", serveFastify],
  ["fetch", serveFetch],
] as const;

function signedHeaders(body: string, secret = SECRET, timestampS = Math.floor(Date.now() / 1_000)) {
  const id = "msg_1";
  return {
    "content-type": "application/json",
    "webhook-id": id,
    "webhook-timestamp": String(timestampS),
    "webhook-signature": signWebhook({ id, timestampS, body, secrets: [secret] }),
  };
}

async function post(url: string, body: string, headers: Record<string, string>) {
  const answer = await fetch(url, { method: "POST", body, headers });
  const text = await answer.text();
  return { status: answer.status, text, reason: /"reason":"(\w+)"/.exec(text)?.[1] };
}

test.each(RECEIVERS)(
  "R87b: behind %s a signed event arrives whole, whatever the spaces of its JSON",
  async (_name, serve) => {
    const url = await serve({});
    const expected = { eventId: EVENT.eventId, eventName: EVENT.eventName, payload: EVENT.payload };
    for (const body of [JSON.stringify(EVENT), JSON.stringify(EVENT, null, 3)]) {
      const { status, text } = await post(url, body, signedHeaders(body));
      expect(status).toBe(200);
      expect(JSON.parse(text)).toEqual(expected);
    }
  },
);

test.each(RECEIVERS)(
  "R87b: behind %s a call that is tampered with, old, incomplete or too large gets its status and reaches no handler",
  async (_name, serve) => {
    const url = await serve({ maxBytes: 2_000 });
    const body = JSON.stringify(EVENT);
    const good = signedHeaders(body);
    const { "webhook-id": _id, ...incomplete } = good;
    const large = JSON.stringify({ ...EVENT, meta: { fill: "x".repeat(500_000) } });
    const old = signedHeaders(body, SECRET, Math.floor(Date.now() / 1_000) - 1_000);
    const cases: [string, Record<string, string>, number, string | undefined][] = [
      [body.replace("42", "43"), good, 401, "bad_signature"],
      [body, signedHeaders(body, generateWebhookSecret()), 401, "bad_signature"],
      [body, old, 401, "too_old"],
      [body, incomplete, 400, "missing_header"],
      [body, { ...good, "webhook-timestamp": "x" }, 400, "bad_timestamp"],
      ["{", signedHeaders("{"), 400, "malformed"],
      ["", signedHeaders(""), 400, "malformed"],
      ['{"a":1}', signedHeaders('{"a":1}'), 400, "malformed"],
    ];
    for (const [sent, headers, status, reason] of cases) {
      const answer = await post(url, sent, headers);
      expect(answer).toMatchObject({ status, reason });
    }
    expect((await post(url, large, signedHeaders(large))).status).toBe(413);
    expect((await post(url, body, good)).status).toBe(200);
  },
);

test.each(RECEIVERS)(
  "R87b: behind %s a body that is too large is answered, and so is the next call on its connection",
  async (_name, serve) => {
    const url = await serve({ maxBytes: 2_000 });
    const bodies = [JSON.stringify({ fill: "x".repeat(500_000) }), JSON.stringify(EVENT)];
    const statuses: number[] = [];
    for (const body of Array.from({ length: 10 }, () => bodies).flat()) {
      statuses.push((await post(url, body, signedHeaders(body))).status);
    }
    expect(statuses).toEqual(Array.from({ length: 10 }, () => [413, 200]).flat());
  },
);

test.each(RECEIVERS.slice(0, 2))(
  "R87b: behind %s a body without a stated length is cut at the limit while it comes",
  async (_name, serve) => {
    const url = await serve({ maxBytes: 10_000 });
    const chunk = Buffer.alloc(8_000, 97);
    let sent = 0;
    const body = new ReadableStream({
      pull(controller) {
        sent += 1;
        if (sent > 100) controller.close();
        else controller.enqueue(chunk);
      },
    });
    const init = { method: "POST", body, duplex: "half", headers: signedHeaders("") };
    const answer = await fetch(url, init as unknown as RequestInit);
    expect(answer.status).toBe(413);
  },
);

test("R87b: a call that ends in the middle of its body is refused and does not hang", async () => {
  let seen: unknown;
  const done = new Promise<void>((resolve) => {
    const server = createServer((req) => {
      readVerified(req, verifier).catch((error: unknown) => {
        seen = error;
        resolve();
      });
    });
    urlOf(server.listen(0, "127.0.0.1"))
      .then((url) => {
        const socket = connect(Number(new URL(url).port), "127.0.0.1");
        socket.on("error", () => undefined);
        socket.write("POST /hooks HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf", () =>
          socket.destroy(),
        );
      })
      .catch(resolve);
  });
  await done;
  expect(seen).toMatchObject({ code: "webhook_rejected", reason: "malformed" });
});

test("R87b: bytes that another parser kept are used, and a body that was parsed is refused with what to do", async () => {
  const raw = express();
  raw.use(express.raw({ type: "*/*" }));
  raw.post("/hooks", expressVerifier(verifier, { maxBytes: 1_000 }), (req, res) => {
    res.end(answerOf(verifiedOf(req, verifier)));
  });
  const rawUrl = await urlOf(raw.listen(0, "127.0.0.1"));
  const body = JSON.stringify(EVENT);
  expect((await post(rawUrl, body, signedHeaders(body))).status).toBe(200);
  const large = JSON.stringify("x".repeat(1_000));
  expect((await post(rawUrl, large, signedHeaders(large))).status).toBe(413);

  let seen: unknown;
  const parsed = express();
  parsed.use(express.json());
  parsed.post("/hooks", expressVerifier(verifier), () => undefined);
  parsed.use((error: unknown, _req: IncomingMessage, res: ServerResponse, _next: Next) => {
    seen = error;
    res.writeHead(500).end();
  });
  const parsedUrl = await urlOf(parsed.listen(0, "127.0.0.1"));
  expect((await post(parsedUrl, body, signedHeaders(body))).status).toBe(500);
  expect(seen).toBeInstanceOf(PawlError);
  expect(seen).toMatchObject({ code: "invalid_option" });
  expect(String(seen)).toContain("express.json()");
});

test("R87b: fetch's body that was read before is refused with what to do", async () => {
  const body = JSON.stringify(EVENT);
  const init = { method: "POST", body, headers: signedHeaders(body) };
  const request = new Request("http://host/", init);
  await request.text();
  await expect(verifyFetch(request, verifier)).rejects.toMatchObject({ code: "invalid_option" });
  expect(() => rejectedResponse(new Error("mine"))).toThrow("mine");
});

test("R87b: other routes of a Fastify server keep their own parsers", async () => {
  const url = await serveFastify({});
  const answer = await post(url.replace("/hooks", "/json"), '{"a":1}', {
    "content-type": "application/json",
  });
  expect(answer).toMatchObject({ status: 200, text: '{"a":1}' });
});

test("R87b: what another verifier saw is not handed out", () => {
  expect(() => verifiedOf({}, verifier)).toThrow("has not verified");
});

test("R87b: an error of ours is not answered as a refusal", async () => {
  const broken: Verifier<never> = {
    verify: () => {
      throw new Error("disk full");
    },
  };
  const app = express();
  app.post("/hooks", expressVerifier(broken));
  app.use((error: unknown, _req: IncomingMessage, res: ServerResponse, _next: Next) => {
    res.writeHead(503).end(String(error));
  });
  const url = await urlOf(app.listen(0, "127.0.0.1"));
  expect(await post(url, "{}", {})).toMatchObject({ status: 503, text: "Error: disk full" });
});

test.each(["PATCH", "PUT", "DELETE", "POST"])(
  "R10: a signed request by %s in its envelope is verified behind http",
  async (method) => {
    const key = defineKey("crm", { secret: "k".repeat(64) });
    const requests = requestVerifier({ keys: "k".repeat(64), audience: "me" });
    const server = createServer((req, res) => {
      readVerified(req, requests).then(
        ({ claims, task }) => res.end(JSON.stringify({ body: claims.body, task })),
        (error: unknown) => answerRejected(error, res),
      );
    });
    const url = await urlOf(server.listen(0, "127.0.0.1"));
    const task = { createdAt: 1, attempt: { number: 1, limit: 3, interval: 60 } };
    const send = async (aud: string) => {
      const request = await signJwt({ claims: { aud, body: { a: 1 } }, key });
      const body = JSON.stringify({ request, __task: task });
      const init = { body, method };
      return fetch(url, init);
    };
    const good = await send("me");
    expect(await good.json()).toEqual({ body: { a: 1 }, task });
    expect((await send("you")).status).toBe(401);
  },
);

test.each(RECEIVERS)(
  "R87b: behind %s the largest event of a sender with Pawl's defaults is taken as it is, and bytes are read as their content type says",
  async (_name, serve) => {
    const url = await serve({});
    const largest = { fill: "x".repeat(1_048_576 - 11) };
    const body = JSON.stringify({ ...EVENT, payload: largest, meta: largest });
    expect((await post(url, body, signedHeaders(body))).status).toBe(200);
    const latin = Buffer.from(JSON.stringify({ ...EVENT, payload: "é" }), "latin1");
    const as = (contentType: string) =>
      fetch(url, {
        method: "POST",
        body: latin,
        headers: { ...signedHeaders(latin as unknown as string), "content-type": contentType },
      });
    const answer = await as("application/json; charset=iso-8859-1");
    expect([answer.status, await answer.json()]).toMatchObject([200, { payload: "é" }]);
    for (const wrong of ["application/json", "application/json; charset=x-klingon"]) {
      const refused = await as(wrong);
      expect([refused.status, await refused.json()]).toMatchObject([
        400,
        { error: { reason: "malformed" } },
      ]);
    }
  },
);
