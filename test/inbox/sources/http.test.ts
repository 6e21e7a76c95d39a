import type { IncomingMessage, ServerResponse } from "node:http";
import { afterAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { isBad, type Page, type PullSource } from "../../../src/inbox/source.ts";
import { type HttpSourceOptions, httpSource } from "../../../src/inbox/sources/http.ts";
import { env } from "../../../src/secrets/secret.ts";
import { freePort, httpServer } from "../../sender/local-servers.ts";
import { fetchContext, readAll, readOne, windowOf } from "./reading.ts";

interface Answer {
  status?: number;
  headers?: Record<string, string>;
  /** JSON unless it is text. */
  body?: unknown;
}

interface Feed {
  url: string;
  requests: { query: Record<string, string>; headers: IncomingMessage["headers"] }[];
}

/** A feed on the loopback that answers as `answer` says. */
async function feedOf(
  answer: (query: Record<string, string>, no: number) => Answer,
): Promise<Feed> {
  const requests: Feed["requests"] = [];
  const server = await httpServer((request: IncomingMessage, response: ServerResponse) => {
    const { searchParams } = new URL(request.url ?? "", "http://feed");
    const query = Object.fromEntries(searchParams);
    requests.push({ query, headers: request.headers });
    const { status = 200, headers = {}, body } = answer(query, requests.length);
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(typeof body === "string" || body === undefined ? body : JSON.stringify(body));
  });
  onTestFinished(() => server.close());
  return { url: `${server.url}/events`, requests };
}

const sourceOf = (url: string, more: Partial<HttpSourceOptions> = {}) =>
  httpSource({ name: "feed", url, page: "id", ...more });
const idsOf = (pages: readonly Page[]) => pages.flatMap(({ events }) => events.map(({ id }) => id));
const numbers = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ id: i + 1, n: i + 1 }));
const byId = (count: number) => (query: Record<string, string>) => ({
  body: numbers(count)
    .filter(({ id }) => id > Number(query.after))
    .slice(0, Number(query.limit)),
});

async function faultOf(source: PullSource): Promise<Record<string, unknown>> {
  try {
    await readOne(source, windowOf(source));
  } catch (error) {
    const { name, message, sent, status, retryAfterMs } = error as Record<string, unknown>;
    return { name, message, sent, status, retryAfterMs };
  }
  throw new Error("expected a fault");
}

describe("R48: a JSON feed is loaded", () => {
  test("by id, page after page", async () => {
    const feed = await feedOf(byId(25));
    const { pages } = await readAll(sourceOf(feed.url, { limit: 10 }));
    expect(idsOf(pages)).toEqual(numbers(25).map(({ id }) => String(id)));
    expect(feed.requests.map(({ query }) => query)).toEqual([
      { after: "0", limit: "10" },
      { after: "10", limit: "10" },
      { after: "20", limit: "10" },
    ]);
  });

  test("by a cursor that each page names; without one the end is reached and asked for again", async () => {
    const all = ["a", "b", "c", "d", "e"].map((id) => ({ id }));
    const feed = await feedOf(({ cursor = "p0", limit }) => {
      const from = Number(cursor.slice(1));
      const to = from + Number(limit);
      const items = all.slice(from, to);
      return { body: { data: { items }, paging: { next: to < all.length ? `p${to}` : null } } };
    });
    const source = sourceOf(feed.url, {
      page: "cursor",
      limit: 2,
      items: "data.items",
      next: "paging.next",
    });
    const { pages, window } = await readAll(source);
    expect(idsOf(pages)).toEqual(["a", "b", "c", "d", "e"]);
    expect(feed.requests.map(({ query }) => query.cursor)).toEqual([undefined, "p2", "p4"]);
    all.push({ id: "f" }, { id: "g" });
    const later = await readAll(source, window);
    expect(idsOf(later.pages)).toEqual(["e", "f", "g"]); // e is known by its id
  });

  test("by a cursor from a header, given by a function", async () => {
    const feed = await feedOf(({ cursor }) => ({
      body: [{ id: cursor ?? "first" }],
      headers: { "x-next-token": cursor === undefined ? "second" : "" },
    }));
    const next: HttpSourceOptions["next"] = (_, { headers }) => headers["x-next-token"];
    const { pages } = await readAll(sourceOf(feed.url, { page: "cursor", next }));
    expect(idsOf(pages)).toEqual(["first", "second"]);
  });

  test("by offset", async () => {
    const all = numbers(5);
    const feed = await feedOf(({ offset, limit }) => ({
      body: all.slice(Number(offset), Number(offset) + Number(limit)),
    }));
    const source = sourceOf(feed.url, { page: "offset", limit: 2 });
    const { pages, window } = await readAll(source);
    expect(idsOf(pages)).toEqual(["1", "2", "3", "4", "5"]);
    expect(window.after).toBe("5");
  });

  test("by time: what is committed late is found within the overlap, and a full page leads on", async () => {
    const at = (seconds: number) => new Date(Date.UTC(2030, 0, 1) + seconds * 1_000).toISOString();
    const all = Array.from({ length: 10 }, (_, i) => ({ id: `e${i}`, at: at(i * 30) }));
    const feed = await feedOf(({ since = "", limit }) => ({
      body: all
        .filter((one) => one.at >= since)
        .sort((a, b) => a.at.localeCompare(b.at))
        .slice(0, Number(limit)),
    }));
    const source = sourceOf(feed.url, {
      page: "timestamp",
      occurredAt: "at",
      overlap: "90s",
      limit: 4,
    });
    const first = await readAll(source);
    expect(new Set(idsOf(first.pages))).toEqual(new Set(all.map(({ id }) => id)));
    expect(first.window.after).toBe(at(9 * 30 - 90));
    all.push({ id: "late", at: at(9 * 30 - 60) }, { id: "new", at: at(9 * 30 + 5) });
    const second = await readAll(source, first.window);
    expect(idsOf(second.pages)).toEqual(expect.arrayContaining(["late", "new"]));
    const third = await readAll(source, second.window);
    expect(third.window.after).toBe(second.window.after);
  });

  test("by time in seconds, from a start on", async () => {
    const feed = await feedOf(() => ({ body: [{ id: "a", at: 1_900_000_000 }] }));
    const source = sourceOf(feed.url, {
      page: "timestamp",
      occurredAt: "at",
      timestampUnit: "seconds",
      start: 1_800_000_000,
    });
    const { pages, window } = await readAll(source);
    expect(feed.requests[0]?.query.since).toBe("1800000000");
    expect(pages[0]?.events[0]).toMatchObject({ id: "a", occurredAt: "2030-03-17T17:46:40.000Z" });
    expect(window.after).toBe("1899999940");
  });

  test("with its secrets, which are nowhere shown", async () => {
    process.env.PAWL_TEST_FEED_KEY = "k-5ecret";
    afterAll(() => delete process.env.PAWL_TEST_FEED_KEY);
    const feed = await feedOf(byId(1));
    const secret = env("PAWL_TEST_FEED_KEY");
    const source = sourceOf(`${feed.url}?tenant=7`, {
      headers: { Authorization: secret },
      query: { key: secret },
    });
    await readAll(source);
    expect(feed.requests[0]?.headers.authorization).toBe("k-5ecret");
    expect(feed.requests[0]?.query).toMatchObject({ tenant: "7", key: "k-5ecret" });
    expect(JSON.stringify(source.config)).not.toMatch(/k-5ecret|=7/);
    const missing = sourceOf(feed.url, { headers: { authorization: env("PAWL_TEST_NO_KEY") } });
    expect(() => missing.check?.()).toThrow(/PAWL_TEST_NO_KEY/);
  });
});

describe("R48: ETag and Retry-After are kept to:", () => {
  test("the same page is asked for with its ETag, and 304 is an empty page", async () => {
    const all = numbers(1);
    const feed = await feedOf(({ after }) => {
      const items = all.filter(({ id }) => id > Number(after));
      return { body: items, headers: { etag: `"${after}-${items.length}"` } };
    });
    const withEtags = await feedOf((query, no) => {
      const answer = { after: query.after, etag: `"${query.after}"` };
      return no === 3
        ? { status: 304, headers: { etag: answer.etag } }
        : { body: no === 1 ? numbers(1) : [], headers: { etag: answer.etag } };
    });
    const source = sourceOf(withEtags.url);
    let { window } = await readOne(source, windowOf(source));
    ({ window } = await readOne(source, window));
    const third = await readOne(source, window);
    expect(third.page).toMatchObject({ events: [], more: false });
    expect(withEtags.requests.map(({ headers }) => headers["if-none-match"])).toEqual([
      undefined,
      undefined, // another page than the one that the ETag is of
      '"1"',
    ]);
    expect(third.window).toEqual(window);
    const other = await readOne(sourceOf(feed.url, { limit: 5 }), { ...window, limit: 5 });
    expect(other.page.events).toEqual([]);
    expect(feed.requests[0]?.headers["if-none-match"]).toBeUndefined();
  });

  test.each<[string, Answer, object]>([
    [
      "429 with a time",
      { status: 429, headers: { "retry-after": "7" } },
      { sent: "no", retryAfterMs: 7_000 },
    ],
    ["429 without one", { status: 429 }, { sent: "no", retryAfterMs: undefined }],
    [
      "503 with a time",
      { status: 503, headers: { "retry-after": "2" } },
      { sent: "no", retryAfterMs: 2_000 },
    ],
  ])("%s is unsent: the server says that it did nothing", async (_, answer, expected) => {
    const feed = await feedOf(() => answer);
    expect(await faultOf(sourceOf(feed.url))).toMatchObject({
      name: "SourceUnavailable",
      ...expected,
    });
  });

  test("a page may ask for a pause as well", async () => {
    const feed = await feedOf(() => ({ body: [], headers: { "retry-after": "9" } }));
    const source = sourceOf(feed.url);
    const raw = await source.request(windowOf(source), fetchContext());
    expect(raw.retryAfterMs).toBe(9_000);
  });
});

describe("R43: faults are told apart:", () => {
  test("nobody listens: unsent", async () => {
    const source = sourceOf(`http://127.0.0.1:${await freePort()}`);
    expect(await faultOf(source)).toMatchObject({ name: "SourceUnavailable", sent: "no" });
  });

  test("R97: a private host that is not permitted: unsent", async () => {
    const source = sourceOf("http://10.0.0.1/feed");
    expect(await faultOf(source)).toMatchObject({ name: "SourceUnavailable", sent: "no" });
    expect(() => source.checkHost?.([])).toThrow(
      expect.objectContaining({ code: "address_forbidden" }),
    );
    source.checkHost?.(["10.0.0.0/8"]);
  });

  test("the connection ends before the answer: unknown", async () => {
    const server = await httpServer((_, response) => response.destroy());
    onTestFinished(() => server.close());
    expect(await faultOf(sourceOf(server.url))).toMatchObject({
      name: "SourceUnavailable",
      sent: "unknown",
    });
  });

  test("no answer in time: unknown", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    // before it has arrived it would be unsent
    const server = await httpServer(() => void vi.advanceTimersByTime(1_000));
    onTestFinished(() => server.close());
    const source = sourceOf(server.url, { timeout: "1s" });
    expect(await faultOf(source)).toMatchObject({ name: "SourceUnavailable", sent: "unknown" });
  });

  test.each<[string, Answer, Partial<HttpSourceOptions>, RegExp]>([
    ["a status", { status: 500, body: "out of order" }, {}, /status 500; it says: out of order/],
    ["503 without a time", { status: 503 }, {}, /status 503/],
    [
      "R97: a redirect, which is not followed",
      { status: 302, headers: { location: "/x?a=b" } },
      {},
      /302 to \/x\?… \(not followed\)/,
    ],
    [
      "another type of content",
      { headers: { "content-type": "text/html" }, body: "<html>" },
      {},
      /expected JSON, got text\/html/,
    ],
    [
      "an answer beyond the cap",
      { body: numbers(500) },
      { maxResponseBytes: 1_000 },
      /longer than 1000 bytes/,
    ],
    ["no JSON", { body: "[{" }, {}, /not JSON/],
    [
      "no array where it is looked for",
      { body: { data: {} } },
      { items: "data.items" },
      /`data.items`/,
    ],
    [
      "an item without an id",
      { body: [{ id: 1 }, { n: 2 }] },
      {},
      /item 1 of the page: expected an id/,
    ],
    ["an id beyond what numbers hold", { body: '[{"id":9007199254740993}]' }, {}, /as text/],
    [
      "a cursor that is none",
      { body: { d: [], next: {} } },
      { page: "cursor", items: "d", next: "next" },
      /neither a text/,
    ],
  ])("%s: answered", async (_, answer, options, message) => {
    const feed = await feedOf(() => answer);
    const fault = await faultOf(sourceOf(feed.url, options));
    expect(fault).toMatchObject({
      name: "SourceAnswered",
      message: expect.stringMatching(message),
    });
  });

  test("pages by time from which there is no way on: answered", async () => {
    const at = "2030-01-01T00:00:00Z";
    const timed = { page: "timestamp", occurredAt: "at", limit: 2 } as const;
    const same = await feedOf(() => ({ body: ["a", "b"].map((id) => ({ id, at })) }));
    await expect(readAll(sourceOf(same.url, timed))).rejects.toThrow(/no next cursor/);
    const falling = await feedOf(() => ({
      body: [
        { id: "b", at: "2030-01-02T00:00:00Z" },
        { id: "a", at },
      ],
    }));
    await expect(readAll(sourceOf(falling.url, timed))).rejects.toThrow(/ascending order/);
    const timeless = await feedOf(() => ({ body: [{ id: "a" }, { id: "b" }] }));
    await expect(readAll(sourceOf(timeless.url, timed))).rejects.toThrow(/no next cursor/);
  });

  test("R46: an item that is no event is set aside alone, with its bytes", async () => {
    const body = '[{"id":1},{"id":2,"at":"never"},{"id":3,"text":"\\u0000"},{"id":4}]';
    const feed = await feedOf(() => ({ body }));
    const source = sourceOf(feed.url, { occurredAt: "at" });
    const { events } = (await readOne(source, windowOf(source))).page; // the feed gives this page for ever
    expect(events.map((one) => [one.id, isBad(one)])).toEqual([
      ["1", false],
      ["2", true],
      ["3", true],
      ["4", false],
    ]);
    const bad = events[1];
    expect(bad !== undefined && isBad(bad) && Buffer.from(bad.raw).toString()).toBe(
      '{"id":2,"at":"never"}',
    );
  });

  test("R46: an item that was set aside is read again with its name and time, and refused again while it is no event", () => {
    const raw = Buffer.from('{"order":2,"kind":"paid","at":"never","on":"2030-01-31T12:00:00Z"}');
    const fields = { id: "order", eventName: "kind", payload: "kind" };
    const read = (occurredAt: string) =>
      sourceOf("http://feed", { ...fields, occurredAt }).decode?.(raw, "2");
    expect(() => read("at")).toThrow(
      'expected a time (ISO 8601, or seconds or milliseconds) of the years 1 to 9999, got "never"',
    );
    expect(read("on")).toEqual({
      id: "2",
      name: "paid",
      occurredAt: "2030-01-31T12:00:00.000Z",
      payload: "paid",
    });
  });

  test("204 is an empty page", async () => {
    const feed = await feedOf(() => ({ status: 204 }));
    const { pages } = await readAll(sourceOf(feed.url));
    expect(pages).toEqual([{ events: [], next: "0", more: false }]);
  });
});

describe("what cannot work is refused when the source is defined:", () => {
  test.each<[string, object, string]>([
    ["no URL", { url: "feed" }, "invalid_url"],
    ["another protocol", { url: "ftp://feed.example" }, "invalid_url"],
    ["credentials in the URL", { url: "https://u:pa55word@feed.example" }, "invalid_url"],
    ["a way of paging that is not known", { page: "ids" }, "invalid_option"],
    ["pages by cursor without `next`", { page: "cursor" }, "invalid_option"],
    ["`next` without pages by cursor", { next: "next" }, "invalid_option"],
    ["pages by time without a time", { page: "timestamp" }, "invalid_option"],
    [
      "a start that is no time",
      { page: "timestamp", occurredAt: "at", start: "soon" },
      "invalid_option",
    ],
    ["an overlap without times", { overlap: "1m" }, "invalid_option"],
    ["offsets without a limit", { page: "offset", limitParam: false }, "invalid_option"],
    ["a header that is Pawl's", { headers: { Host: "x" } }, "invalid_option"],
    ["a header with a line break", { headers: { a: "b\r\nc: d" } }, "invalid_option"],
    ["a parameter that carries the cursor", { query: { after: "1" } }, "invalid_option"],
    ["an unknown option", { itmes: "x" }, "invalid_option"],
    ["a cap of nothing", { maxResponseBytes: 0 }, "invalid_option"],
  ])("%s", (_, options, code) => {
    const define = () => sourceOf("https://feed.example", options);
    expect(define).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining('source "feed"') }),
    );
    expect(define).not.toThrow("pa55word");
  });
});
