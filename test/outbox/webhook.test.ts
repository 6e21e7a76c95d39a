import { Webhook } from "standardwebhooks";
import { afterAll, afterEach, expect, test } from "vitest";
import { PawlError } from "../../src/base/errors.ts";
import { VERSION } from "../../src/base/version.ts";
import { retryDelayMs, retrySeries } from "../../src/kernel/retry.ts";
import {
  type Delivery,
  nullDestination,
  type WebhookOptions,
  webhook,
} from "../../src/outbox/destinations/index.ts";
import { env } from "../../src/secrets/secret.ts";
import { openSender } from "../../src/sender/sender.ts";
import {
  bodyOf,
  deadlineAfter,
  deferred,
  freePort,
  httpServer,
  type LocalServer,
} from "../sender/local-servers.ts";
import { deliveryContext } from "../support/delivery.ts";

const SECRET = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
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
    payload: { total: 12.5, note: "žluťoučký 😀" },
    meta: { tenant: "t1" },
  },
};

interface Received {
  method: string | undefined;
  headers: Record<string, string>;
  body: string;
}
interface Answer {
  status: number;
  headers?: Record<string, string>;
  body?: string;
}

const open: LocalServer[] = [];
afterEach(async () => {
  delete process.env.PAWL_TEST_SECRET;
  await Promise.all(open.splice(0).map((server) => server.close()));
});
const http = openSender({ allow: ["127.0.0.1"] });
afterAll(() => http.close());

async function receiver(answers: Answer[]): Promise<{ url: string; received: Received[] }> {
  const received: Received[] = [];
  const server = await httpServer(async (request, response) => {
    const headers = request.headers as Record<string, string>;
    received.push({ method: request.method, headers, body: await bodyOf(request) });
    const answer = answers[received.length - 1] ?? { status: 204 };
    response.writeHead(answer.status, answer.headers).end(answer.body);
  });
  open.push(server);
  return { url: `${server.url}/hooks`, received };
}

function deliverTo(options: Partial<WebhookOptions> & { url: string }, delivery = DELIVERY) {
  return webhook({ secret: SECRET, ...options }).deliver(delivery, deliveryContext({ http }));
}

async function failureOf(run: () => unknown): Promise<PawlError> {
  try {
    await run();
  } catch (error) {
    if (error instanceof PawlError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

test("R87a: a webhook is a signed POST of the event with every header that the receiver may rely on", async () => {
  const { url, received } = await receiver([{ status: 200, body: "thanks" }]);
  const headers = { "X-Api-Key": "k1", Authorization: "Bearer b1" };
  const success = await deliverTo({ url, headers });
  expect(success).toMatchObject({ status: 200, response: "thanks" });
  const [request] = received;
  if (request === undefined) throw new Error("nothing arrived");
  expect(request.method).toBe("POST");
  expect(JSON.parse(request.body)).toEqual({
    eventId: DELIVERY.event.id,
    eventName: "order.placed",
    aggregate: { type: "order", id: "o-1" },
    occurredAt: "2024-08-14T10:00:00.000Z",
    payload: { total: 12.5, note: "žluťoučký 😀" },
    meta: { tenant: "t1" },
  });
  expect(request.headers).toMatchObject({
    "content-type": "application/json",
    "user-agent": `pawl/${VERSION}`,
    "webhook-id": DELIVERY.event.id,
    "x-event-id": DELIVERY.event.id,
    "x-event-name": "order.placed",
    "x-outbox-delivery-id": "4711",
    "x-outbox-destination-id": "12",
    "x-outbox-destination-key": "erp",
    "x-api-key": "k1",
    authorization: "Bearer b1",
  });
  expect(request.headers["webhook-timestamp"]).toMatch(/^\d{10}$/);
  expect(request.headers["webhook-signature"]).toMatch(/^v1,[A-Za-z0-9+/]{43}=$/);
  expect(new Webhook(SECRET).verify(request.body, request.headers)).toMatchObject({
    eventName: "order.placed",
  });
});

test("a retry carries the same ids, so that the receiver can drop the duplicate", async () => {
  const { url, received } = await receiver([{ status: 500 }, { status: 204 }]);
  expect((await failureOf(() => deliverTo({ url }))).code).toBe("delivery_failed");
  await deliverTo({ url }, { ...DELIVERY, attempt: 2 });
  const ids = received.map(({ headers }) => [
    headers["webhook-id"],
    headers["x-outbox-delivery-id"],
  ]);
  expect(ids[1]).toEqual(ids[0]);
  for (const { body, headers } of received) new Webhook(SECRET).verify(body, headers);
});

test.each([[200], [201], [202], [204], [299]])("%d is a success", async (status) => {
  const { url } = await receiver([{ status }]);
  expect(await deliverTo({ url })).toMatchObject({ status });
});

test.each([[301], [304], [400], [404], [418], [429], [500], [503]])(
  "%d is a failure that is tried again",
  async (status) => {
    const { url, received } = await receiver([{ status, headers: { location: "/elsewhere" } }]);
    const error = await failureOf(() => deliverTo({ url }));
    expect(error.code).toBe("delivery_failed");
    expect(error.data).toMatchObject({ status });
    expect(error.data).not.toHaveProperty("permanent");
    expect(received).toHaveLength(1);
  },
);

test("410 is permanent: no try can help", async () => {
  const { url } = await receiver([{ status: 410 }]);
  const error = await failureOf(() => deliverTo({ url }));
  expect(error.data).toMatchObject({ status: 410, permanent: true });
});

test("the answer's Retry-After and the beginning of its body are kept, safe to store", async () => {
  const body = `no\u0000w${"x".repeat(50_000)}`;
  const { url } = await receiver([{ status: 503, headers: { "retry-after": "120" }, body }]);
  const error = await failureOf(() => deliverTo({ url }));
  expect(error.data).toMatchObject({ status: 503, retryAfterMs: 120_000 });
  expect(error.data.body).toBe(`no\ufffdw${"x".repeat(1_996)}`);
});

test("a receiver that is not there is a fault of the network, with what was sent", async () => {
  const error = await failureOf(async () =>
    deliverTo({ url: `http://127.0.0.1:${await freePort()}/hooks` }),
  );
  expect(error.code).toBe("http_failed");
  expect(error.data).toMatchObject({ reason: "refused", sent: "no" });
});

test("a receiver that does not answer is given up after the destination's timeout", async () => {
  const { promise: arrived, resolve: arrive } = deferred<void>();
  const server = await httpServer(() => arrive());
  open.push(server);
  const options = { url: server.url, timeout: "1m" } as const;
  const error = await failureOf(() => deadlineAfter(arrived, 60_000, () => deliverTo(options)));
  expect(error.data).toMatchObject({ reason: "timeout", sent: "unknown" });
});

test("a worker that stops ends the delivery through its signal", async () => {
  const stop = new AbortController();
  const server = await httpServer(() => stop.abort());
  open.push(server);
  const error = await failureOf(() =>
    webhook({ url: server.url, secret: SECRET }).deliver(
      DELIVERY,
      deliveryContext({ http, signal: stop.signal }),
    ),
  );
  expect(error.data).toMatchObject({ reason: "aborted", sent: "unknown" });
});

test("an event name that headers cannot carry is sent percent-encoded, and the signature holds", async () => {
  const { url, received } = await receiver([]);
  const event = { ...DELIVERY.event, name: "objednávka.nová\r\nx: 1" };
  await deliverTo({ url }, { ...DELIVERY, event });
  const [request] = received;
  expect(request?.headers["x-event-name"]).toBe("objedn%C3%A1vka.nov%C3%A1%0D%0Ax: 1");
  expect(new Webhook(SECRET).verify(request?.body ?? "", request?.headers ?? {})).toMatchObject({
    eventName: event.name,
  });
});

test("secrets from the environment are read at the try, not at the definition", async () => {
  const { url, received } = await receiver([]);
  const secret = env("PAWL_TEST_SECRET");
  const options = { url, secret, headers: { authorization: env("PAWL_TEST_SECRET") } };
  const missing = await failureOf(() => deliverTo(options));
  expect(missing.code).toBe("invalid_environment");
  expect(missing.message).toContain("PAWL_TEST_SECRET");
  expect((await failureOf(() => webhook(options).check?.())).code).toBe("invalid_environment");
  process.env.PAWL_TEST_SECRET = "too weak";
  expect((await failureOf(() => webhook(options).check?.())).code).toBe("invalid_option");

  process.env.PAWL_TEST_SECRET = SECRET;
  webhook(options).check?.();
  await deliverTo(options);
  const [request] = received;
  expect(request?.headers.authorization).toBe(SECRET);
  new Webhook(SECRET).verify(request?.body ?? "", request?.headers ?? {});
});

test("the public config and the whole definition show no secret", () => {
  const url = "https://erp.example/hooks?token=hidden-token";
  const headers = { authorization: "hidden-header", "x-key": env("ERP_KEY") };
  const plain = webhook({ url, secret: SECRET, headers });
  expect(plain.config).toEqual({
    url: "https://erp.example/hooks?…",
    secret: "***",
    headers: { authorization: "***", "x-key": "env:ERP_KEY" },
  });
  expect(JSON.stringify(plain)).not.toMatch(/hidden|whsec|BwcH/);
  expect(webhook({ url, secret: env("ERP_SECRET") }).config.secret).toBe("env:ERP_SECRET");
});

test("R86: without a policy a webhook is tried 10 times, 60 s × 2^(n−1) apart, spread by a tenth", () => {
  const { retry, timeoutMs } = webhook({ url: "https://erp.example", secret: SECRET });
  const series = retrySeries(retry ?? {}, "retry");
  expect(timeoutMs).toBe(15_000);
  expect(series).toMatchObject({ attempts: 10, jitter: 0.1 });
  for (let n = 1; n <= 9; n++) expect(retryDelayMs(series, n, 0.5)).toBe(60_000 * 2 ** (n - 1));
  const own = webhook({ url: "https://erp.example", secret: SECRET, retry: { attempts: 20 } });
  expect(retryDelayMs(retrySeries(own.retry ?? {}, "retry"), 19, 0.5)).toBe(12 * 3_600_000);
  const list = webhook({ url: "https://erp.example", secret: SECRET, retry: { delays: ["1s"] } });
  expect(retrySeries(list.retry ?? {}, "retry")).toMatchObject({ attempts: 2, delays_ms: [1_000] });
});

test.each([
  ["ftp://erp.example/x", "protocol ftp:"],
  ["erp.example/hooks", '`url` "erp.example/hooks" is not a URL'],
  ["", "not a URL"],
  ["https://user:hunter2@erp.example/", "holds credentials"],
  ["//user:hunter2@erp.example/", '"***@erp.example/"'],
  ["erp.example?token=hunter2", '"erp.example"'],
])("the URL %j is refused at the definition", async (url, reason) => {
  const error = await failureOf(() => webhook({ url, secret: SECRET }));
  expect(error.code).toBe("invalid_url");
  expect(error.message).toContain(reason);
  expect(error.message).not.toContain("hunter2");
});

test.each([
  ["Webhook-Id", "x"],
  ["webhook-signature", "x"],
  ["X-Outbox-Anything", "x"],
  ["X-Event-Id", "x"],
  ["Content-Type", "x"],
  ["Host", "x"],
  ["Transfer-Encoding", "x"],
  ["bad name", "x"],
  ["x-a\r\nx-b", "x"],
  ["", "x"],
  ["x-a", "hidden\r\nx-b: 2"],
  ["x-a", "hidden\nx-b: 2"],
  ["x-a", "hidden\u0000"],
])(
  "the custom header %j: %j is refused at the definition, its value not shown",
  async (name, value) => {
    const error = await failureOf(() =>
      webhook({ url: "https://erp.example", secret: SECRET, headers: { [name]: value } }),
    );
    expect(error.code).toBe("invalid_option");
    expect(error.message).not.toContain("hidden");
  },
);

test("one header in two spellings is refused", async () => {
  const headers = { "x-a": "1", "X-A": "2" };
  const error = await failureOf(() =>
    webhook({ url: "https://erp.example", secret: SECRET, headers }),
  );
  expect(error.message).toContain("given twice");
});

test.each([
  { secret: "weak" },
  { timeout: "11m" },
  { timeout: 0 },
  { timeout: "soon" },
  { maxResponseBytes: 0 },
  { maxResponseBytes: 2_000_000 },
  { retry: { attempts: 0 } },
  { retry: { jitter: 2 } },
])("the option %j is refused at the definition", async (options) => {
  const error = await failureOf(() =>
    webhook({ url: "https://erp.example", secret: SECRET, ...options }),
  );
  expect(error.code).toBe("invalid_option");
});

test("the null destination accepts everything", async () => {
  const done = await nullDestination().deliver(DELIVERY, deliveryContext({ http }));
  expect(done.summary).toBe("accepted and discarded");
});
