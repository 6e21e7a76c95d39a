import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, afterEach, beforeEach, expect, test } from "vitest";
import { openDesk } from "../../examples/relay/desk.ts";
import { startFeed } from "../../examples/relay/feed.ts";
import { startReceiver } from "../../examples/relay/receiver.ts";
import { webhook } from "../../src/outbox/destinations/index.ts";
import { type HttpAnswer, openSender } from "../../src/sender/sender.ts";
import { signWebhook } from "../../src/webhooks/sign.ts";
import { freshDatabase } from "../support/database.ts";
import { deliveryContext } from "../support/delivery.ts";

const SECRET = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
const closing: Array<() => Promise<void> | void> = [];
let logFile = "";

beforeEach(() => {
  const folder = mkdtempSync(join(tmpdir(), "pawl-relay-"));
  closing.push(() => rmSync(folder, { recursive: true }));
  logFile = join(folder, "receipts.ndjson");
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
const http = openSender({ allow: ["127.0.0.1"] });
afterAll(() => http.close());

async function feed(copies?: number) {
  const started = await startFeed(copies === undefined ? {} : { copies });
  closing.push(() => started.close());
  return started;
}

async function page(url: string, query: string): Promise<Array<Record<string, unknown>>> {
  const answer = await get(`${url}/events?${query}`);
  expect(answer.status).toBe(200);
  return JSON.parse(answer.body) as Array<Record<string, unknown>>;
}

function get(url: string): Promise<HttpAnswer> {
  const limits = { timeoutMs: 60_000, responseBytesMax: 100_000_000 };
  return http.send({ url, method: "GET", headers: {}, body: "", ...limits });
}

function post(url: string, id: string, more: Record<string, string> = {}): Promise<HttpAnswer> {
  const timestamp = Math.floor(Date.now() / 1_000);
  const body = JSON.stringify({ eventId: id });
  const headers = {
    "content-type": "application/json",
    "webhook-id": id,
    "webhook-timestamp": String(timestamp),
    "webhook-signature": signWebhook({ id, timestampS: timestamp, body, secrets: [SECRET] }),
    "x-event-name": "push",
    "x-outbox-delivery-id": "7",
    ...more,
  };
  return http.send({ url, method: "POST", headers, body, timeoutMs: 60_000 });
}

function logged(): Array<Record<string, unknown>> {
  const lines = readFileSync(logFile, "utf8").split("\n").slice(0, -1);
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

test("paging through the feed gives every real payload once, with ids from 1 in order", async () => {
  const { url, count } = await feed();
  const load: (name: string) => unknown = createRequire(import.meta.url);
  const examples = (
    load("@octokit/webhooks-examples") as Array<{ name: string; examples: unknown[] }>
  ).flatMap(({ name, examples }) => examples.map((payload) => ({ name, payload })));
  const events: Array<Record<string, unknown>> = [];
  for (let more = true; more; ) {
    const next = await page(url, `after=${events.length}&limit=100`);
    events.push(...next);
    more = next.length > 0;
  }
  expect(count).toBe(examples.length);
  expect(events.map(({ id }) => id)).toEqual(examples.map((_, index) => index + 1));
  expect(events.map(({ name, payload }) => ({ name, payload }))).toEqual(examples);
});

test("copies continue with new ids, and the same id is always the same event", async () => {
  const once = await feed();
  const thrice = await feed(3);
  expect(thrice.count).toBe(3 * once.count);
  const [first] = await page(once.url, "after=0&limit=1");
  const [again] = await page(thrice.url, `after=${once.count}&limit=1`);
  expect(again).toEqual({ ...first, id: once.count + 1 });
  expect(await page(thrice.url, `after=${thrice.count}&limit=5`)).toEqual([]);
  expect(await page(thrice.url, `after=${thrice.count - 2}&limit=1000`)).toHaveLength(2);
});

test.each([["after=x"], ["after=-2"], ["limit=0"], ["limit=1001"], ["limit=1.5"]])(
  "the feed refuses %j",
  async (query) => {
    const { url } = await feed();
    expect((await get(`${url}/events?${query}`)).status).toBe(400);
  },
);

test("the receiver verifies what Pawl's webhook sends and has it on disk before it answers", async () => {
  const receiver = await startReceiver({ secret: SECRET, logFile });
  closing.push(() => receiver.close());
  const delivery = {
    deliveryId: "7",
    destinationId: "1",
    destinationKey: "partner",
    attempt: 1,
    replay: 0,
    event: {
      id: "e-1",
      name: "pull_request.opened",
      aggregateType: "repo",
      aggregateId: "r",
      occurredAt: new Date().toISOString(),
      payload: { text: "žluť 😀" },
      meta: {},
    },
  };
  const destination = webhook({ url: `${receiver.url}/hub`, secret: SECRET });
  const success = await destination.deliver(delivery, deliveryContext({ http }));
  expect(success.status).toBe(204);
  expect(logged()).toEqual([
    {
      at: expect.any(String) as string,
      path: "/hub",
      eventId: "e-1",
      deliveryId: "7",
      eventName: "pull_request.opened",
      verified: true,
    },
  ]);
});

test("a wrong, missing or old signature is answered 401 and counted as bad, and a duplicate as duplicate", async () => {
  const receiver = await startReceiver({ secret: SECRET, logFile });
  closing.push(() => receiver.close());
  const old = Math.floor(Date.now() / 1_000) - 3_600;
  const oldSignature = signWebhook({
    id: "d",
    timestampS: old,
    body: '{"eventId":"d"}',
    secrets: [SECRET],
  });
  const hub = `${receiver.url}/hub`;
  const answers = [
    await post(hub, "a"),
    await post(hub, "b"),
    await post(hub, "a"),
    await post(hub, "c", { "webhook-id": "other" }),
    await post(hub, "c", { "webhook-signature": "" }),
    await post(hub, "d", {
      "webhook-timestamp": String(old),
      "webhook-signature": oldSignature,
    }),
  ];
  expect(answers.map(({ status }) => status)).toEqual([204, 204, 204, 401, 401, 401]);
  const counts = { verified: 3, distinct: 2, duplicates: 1, bad: 3 };
  expect(receiver.counts()).toEqual(counts);
  expect(JSON.parse((await get(`${receiver.url}/counts`)).body)).toEqual(counts);
  expect(logged().map(({ verified }) => verified)).toEqual([true, true, true, false, false, false]);
});

test("the ledger turns requests away after each start and then accepts, and only what it accepts is noted", async () => {
  const receiver = await startReceiver({ secret: SECRET, logFile });
  closing.push(() => receiver.close());
  const tries = Array.from({ length: 12 }, () => "a");
  const answers: number[] = [];
  for (const id of tries) answers.push((await post(`${receiver.url}/ledger`, id)).status);
  expect(answers).toEqual([...Array.from({ length: 10 }, () => 503), 204, 204]);
  expect(logged().map(({ path, eventId }) => [path, eventId])).toEqual([
    ["/ledger", "a"],
    ["/ledger", "a"],
  ]);
  expect((await post(`${receiver.url}/hub`, "a")).status).toBe(204);
  expect(receiver.counts()).toEqual({ verified: 3, distinct: 2, duplicates: 1, bad: 0 });
});

test("the broken path never accepts, and a path that is not there is answered 404; neither is noted", async () => {
  const receiver = await startReceiver({ secret: SECRET, logFile });
  closing.push(() => receiver.close());
  for (let tries = 0; tries < 3; tries++) {
    expect((await post(`${receiver.url}/broken`, "a")).status).toBe(500);
  }
  expect((await post(`${receiver.url}/hooks`, "a")).status).toBe(404);
  expect((await post(`${receiver.url}/hub?copy=1`, "a")).status).toBe(404);
  expect(logged()).toEqual([]);
});

test("many requests at once are each logged once", async () => {
  const receiver = await startReceiver({ secret: SECRET, logFile });
  closing.push(() => receiver.close());
  const ids = Array.from({ length: 200 }, (_, index) => `e-${index}`);
  const answers = await Promise.all(ids.map((id) => post(`${receiver.url}/hub`, id)));
  expect(answers.every(({ status }) => status === 204)).toBe(true);
  const receipts = logged();
  expect(receipts).toHaveLength(ids.length);
  expect(new Set(receipts.map(({ eventId }) => eventId))).toEqual(new Set(ids));
  expect(receiver.counts()).toEqual({ verified: 200, distinct: 200, duplicates: 0, bad: 0 });
});

test("a line torn by a kill is cut off, and the counts go on after the restart", async () => {
  const first = await startReceiver({ secret: SECRET, logFile });
  await post(`${first.url}/hub`, "a");
  await post(`${first.url}/hub`, "b");
  await first.close();
  appendFileSync(logFile, '{"at":"2024-01-01T00:00:00Z","eventId":"torn');

  const second = await startReceiver({ secret: SECRET, logFile });
  closing.push(() => second.close());
  expect(second.counts()).toEqual({ verified: 2, distinct: 2, duplicates: 0, bad: 0 });
  await post(`${second.url}/hub`, "torn");
  await post(`${second.url}/hub`, "a");
  expect(logged().map(({ eventId }) => eventId)).toEqual(["a", "b", "torn", "a"]);
  expect(second.counts()).toEqual({ verified: 4, distinct: 3, duplicates: 1, bad: 0 });
});

test("a log that is broken in the middle is refused by file and line, not counted wrongly", async () => {
  writeFileSync(logFile, "{}\nbroken\n{}\n");
  await expect(startReceiver({ secret: SECRET, logFile })).rejects.toThrow(/receipts\.ndjson:2/);
});

test("a receiver that is killed has every receipt that it answered", async () => {
  const child = await processOf("receiver.ts", ["--log", logFile]);
  const answers = await Promise.allSettled(
    Array.from({ length: 60 }, async (_, index) => {
      const answer = await post(`${child.url}/hub`, `e-${index}`);
      if (index === 20) child.process.kill("SIGKILL");
      return { id: `e-${index}`, status: answer.status };
    }),
  );
  await child.ended;
  const answered = answers.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  expect(answered.length).toBeGreaterThan(0);

  const restarted = await startReceiver({ secret: SECRET, logFile });
  closing.push(() => restarted.close());
  const ids = new Set(logged().map(({ eventId }) => eventId));
  for (const { id, status } of answered) expect([id, status, ids.has(id)]).toEqual([id, 204, true]);
});

test("the desk has seen a matter whose run has ended, and refuses what names no run", async () => {
  const { url } = await freshDatabase();
  const desk = openDesk(url);
  closing.push(() => desk.close());
  expect(await desk.see('{"runId": "7"}')).toBe(202);
  for (const odd of ["", "{", "null", "[]", '{"runId": 7}']) expect(await desk.see(odd)).toBe(400);
});

test("the feed runs alone as a process, prints its URL and stops on SIGTERM with exit code 0", async () => {
  const child = await processOf("feed.ts", ["--copies", "2"]);
  expect(await page(child.url, "after=0&limit=3")).toHaveLength(3);
  child.process.kill("SIGTERM");
  expect(await child.ended).toBe(0);
});

async function processOf(
  file: string,
  args: string[],
): Promise<{ process: ChildProcess; url: string; ended: Promise<number | null> }> {
  const path = join(import.meta.dirname, "../../examples/relay", file);
  const child = spawn(process.execPath, ["--import", "tsx", path, ...args], {
    env: { ...process.env, RECEIVER_SECRET: SECRET },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit").then(([code]) => code as number | null);
  closing.push(() => {
    child.kill("SIGKILL");
  });
  const [url] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
  return { process: child, url, ended };
}
