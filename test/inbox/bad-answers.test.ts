import type { ServerResponse } from "node:http";
import { expect, onTestFinished, test } from "vitest";
import { type HttpSourceOptions, httpSource } from "../../src/index.ts";
import { httpServer } from "../sender/local-servers.ts";
import { inboxApp, storedIds } from "../support/inbox-app.ts";
import { present } from "../support/present.ts";
import { until } from "../support/until.ts";

const MIB = 1024 * 1024;
const LIMIT = 10;
const HUGE_BYTES = 500_000_000;
const CAP_BYTES = 4 * MIB;
/** What sockets and streams hold on both sides, beyond what was read. */
const BUFFERS_BYTES_MAX = 24 * MIB;
const QUICK = { page: "id", gap: 0, limit: LIMIT, idle: "20ms" } as const;

interface Bad {
  name: string;
  answer: (response: ServerResponse) => void;
  more?: Partial<HttpSourceOptions>;
  fault: "answered" | "unknown";
  error: RegExp;
}

function json(body: unknown): Bad["answer"] {
  return (response) => {
    response.setHeader("content-type", "application/json");
    response.end(typeof body === "string" ? body : JSON.stringify(body));
  };
}

const withIds = (...ids: number[]) => json(ids.map((id) => ({ id })));

/** Bytes that were given to the socket of the answer of 500 MB. */
let flooded = 0;

/** As fast as the reader takes it. */
function flood(response: ServerResponse): void {
  const piece = Buffer.alloc(MIB, '{"id":1},');
  const more = () => {
    while (flooded < HUGE_BYTES && !response.destroyed) {
      flooded += piece.length;
      if (!response.write(piece)) return;
    }
    response.end();
  };
  response.setHeader("content-type", "application/json");
  response.write("[");
  response.on("drain", more);
  more();
}

function drip(response: ServerResponse): void {
  response.setHeader("content-type", "application/json");
  response.write("[");
  const timer = setInterval(() => response.write(" "), 1_000);
  response.on("close", () => clearInterval(timer));
}

const BAD: readonly Bad[] = [
  {
    name: "descending",
    answer: withIds(2, 1),
    fault: "answered",
    error: /the id 1, after 2: ids must ascend/,
  },
  {
    name: "too-many",
    answer: withIds(...Array.from({ length: LIMIT + 1 }, (_, i) => i + 1)),
    fault: "answered",
    error: /11 events, but at most 10/,
  },
  {
    name: "behind",
    answer: withIds(0, 1),
    fault: "answered",
    error: /the id 0, which is not after the cursor 0/,
  },
  { name: "no-json", answer: json("[{id:1}]"), fault: "answered", error: /the body is not JSON/ },
  { name: "cut-json", answer: json('[{"id":1},{"id"'), fault: "answered", error: /not JSON/ },
  {
    name: "huge",
    answer: flood,
    more: { maxResponseBytes: CAP_BYTES },
    fault: "answered",
    error: new RegExp(`the answer is longer than ${CAP_BYTES} bytes`),
  },
  {
    name: "dripping",
    answer: drip,
    more: { timeout: "2500ms" },
    fault: "unknown",
    error: /within 2500 ms/,
  },
];

/** A server for all: each bad source by its name, and one that gives out as many events as it is told to. */
async function servers() {
  const asked = new Map<string, number>();
  const open = new Map<string, number>();
  const dripping = new Set<ServerResponse>();
  let count = 0;
  const server = await httpServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://feed");
    const name = url.pathname.slice(1);
    asked.set(name, (asked.get(name) ?? 0) + 1);
    open.set(name, (open.get(name) ?? 0) + 1);
    response.on("close", () => open.set(name, (open.get(name) ?? 0) - 1));
    if (name === "dripping") dripping.add(response);
    const bad = BAD.find((one) => one.name === name);
    if (bad !== undefined) return bad.answer(response);
    const first = Number(url.searchParams.get("after")) + 1;
    const length = Math.max(Math.min(LIMIT, count - first + 1), 0);
    return withIds(...Array.from({ length }, (_, i) => first + i))(response);
  });
  onTestFinished(() => server.close());
  return {
    url: server.url,
    asked,
    open,
    give: (more: number) => {
      count += more;
      return count;
    },
    cut: () => {
      for (const response of dripping) response.destroy();
    },
  };
}

test("R36 R38 R43 R97: each kind of bad answer is refused with its fault, holds its own source only, and another one goes on meanwhile", async () => {
  const { url, asked, open, give } = await servers();
  const bad = BAD.map(({ name, more }) =>
    httpSource({ ...QUICK, ...more, name, url: `${url}/${name}` }),
  );
  const good = httpSource({ ...QUICK, name: "good", url: `${url}/good` });
  const before = process.memoryUsage();
  let rssMax = before.rss;
  const { pawl, becomes } = await inboxApp([...bad, good], { http: { allow: ["127.0.0.1"] } });
  await until("the slow one is asked", () => asked.has("dripping"));

  for (const { name, fault, error } of BAD) {
    const held = await until(`${name} is held`, async () => {
      rssMax = Math.max(rssMax, process.memoryUsage().rss);
      const source = await present(pawl.sources.get(name));
      return source.status === "held" && source;
    });
    expect(held).toMatchObject({ heldFault: fault, received: 0, requested: "0" });
    expect(held.error).toMatch(error);
    const [window, ...others] = await pawl.sources.windows({ source: name });
    expect(others).toEqual([]);
    expect(window).toMatchObject({ state: "held", fault, events: 0 });
    // a try that a busy process ended before it was sent is none that the feed has seen
    if (name !== "dripping") expect(window).toMatchObject({ attempt: 1 });
    const stored = give(30);
    await becomes("good", { storedCount: stored, status: "waiting" });
  }

  for (const { name } of BAD) expect(asked.get(name)).toBe(1);
  expect(await pawl.inbox.list()).toEqual([]);
  expect((await storedIds(pawl, "good")).length).toBe(30 * BAD.length);
  // the total deadline ended it, although a byte came every second
  const [slow] = await pawl.sources.windows({ source: "dripping" });
  const slowMs = Number(slow?.endedAt) - Number(slow?.sentAt);
  expect(slowMs).toBeGreaterThanOrEqual(2_450); // it would never have ended by itself
  await until("no bad answer is read any more", () =>
    BAD.every(({ name }) => open.get(name) === 0),
  );
  expect(flooded).toBeLessThan(CAP_BYTES + BUFFERS_BYTES_MAX);
  expect(rssMax - before.rss).toBeLessThan(HUGE_BYTES / 2);
  console.log(
    `of ${HUGE_BYTES} bytes ${flooded} were taken; memory grew by at most ${Math.round((rssMax - before.rss) / MIB)} MiB`,
  );
});

test("R38: while a slow answer drips, the other sources are asked and stored all the time", async () => {
  const { url, asked, open, give, cut } = await servers();
  const dripping = { name: "dripping", url: `${url}/dripping`, timeout: "10m" } as const;
  const slow = httpSource({ ...QUICK, ...dripping });
  const good = httpSource({ ...QUICK, name: "good", url: `${url}/good` });
  const { pawl, becomes } = await inboxApp([slow, good], { http: { allow: ["127.0.0.1"] } });
  await until("the slow one is under way", () => (open.get("dripping") ?? 0) > 0);
  for (let round = 1; round <= 5; round += 1) await becomes("good", { storedCount: give(20) });
  expect(open.get("dripping")).toBe(1);
  expect(asked.get("dripping")).toBe(1);
  expect(await present(pawl.sources.get("dripping"))).toMatchObject({
    status: "loading",
    received: 0,
  });
  cut(); // the app would wait for it
  await becomes("dripping", { status: "held", heldFault: "unknown" });
});
