import { appendFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { rawJson } from "../../src/base/json-text.ts";
import { partsOf } from "../../src/inbox/exact.ts";
import { isBad, type PullSource, type RawPage, type SourceEvent } from "../../src/inbox/source.ts";
import { fileSource, type HttpSourceOptions } from "../../src/inbox/sources/index.ts";
import { rabbitmqStreamSource } from "../../src/inbox/sources/rabbitmq-stream.ts";
import type { StreamMessage } from "../../src/inbox/sources/stream-client.ts";
import { defineSource, httpSource } from "../../src/index.ts";
import { fakeSource } from "../../src/testing/index.ts";
import { httpServer } from "../sender/local-servers.ts";
import { inboxApp } from "../support/inbox-app.ts";
import { until } from "../support/until.ts";
import { fetchContext, readAll, windowOf } from "./sources/reading.ts";

/** What JavaScript's numbers cannot hold, with white space and members in an order of their own. */
const ORDER = '{"total": 9007199254740993, "cents": 0.10,  "huge": 1e400}';
/** The same as PostgreSQL keeps it. */
const STORED = `{"huge": 1${"0".repeat(400)}, "cents": 0.10, "total": 9007199254740993}`;
const page = (...orders: string[]) =>
  `{"next": 9007199254740995, "data": [${orders.map((one, i) => `{"id": "${i + 1}", "order": ${one}}`).join(" ,\n")}]}`;

function parsed(options: Partial<HttpSourceOptions>, raw: RawPage) {
  const source = httpSource({
    name: "feed",
    url: "http://feed",
    page: "cursor",
    items: "data",
    next: "next",
    ...options,
  }) as PullSource;
  return source.parse(raw, windowOf(source));
}
const bytesOf = (text: string) => ({ bytes: Buffer.from(text) });
const textOf = (event: unknown) => {
  const { payload } = partsOf(event as SourceEvent);
  return (payload as { text?: string }).text ?? payload;
};

describe("R114: an item keeps its own text", () => {
  const whole = `{"id": "1", "order": ${ORDER}}`;
  test.each<[string, Partial<HttpSourceOptions>, unknown]>([
    ["whole", {}, whole],
    ["at a path", { payload: "order" }, ORDER],
    ["one number at a path", { payload: "order.total" }, "9007199254740993"],
    ["that a function found", { payload: (item) => (item as { order: object }).order }, ORDER],
    ["of a list that a function found", { items: (body) => (body as { data: [] }).data }, whole],
    [
      "but not what a function changed",
      {
        payload: (item) => Object.assign((item as { order: object }).order, { total: 1, huge: 2 }),
      },
      { total: 1, cents: 0.1, huge: 2 },
    ],
    [
      "nor a list that a function made",
      { items: () => [{ id: "1", total: 9 }] },
      '{"id":"1","total":9}',
    ],
  ])("%s", (_, options, expected) => {
    const { events, next } = parsed(options, bytesOf(page(ORDER, ORDER)));
    expect(textOf(events[0])).toEqual(expected);
    expect(next).toBe("9007199254740995");
  });

  test("beside items that are no JSON, and around them, the page is refused as before", () => {
    for (const bad of [page("{"), page("1 2"), page("nul"), `${page(ORDER)}]`, page(ORDER, "")]) {
      expect(() => parsed({}, bytesOf(bad))).toThrow("not JSON");
    }
  });

  test("fields beside the items are read where they stand, also by functions that look at the items", () => {
    const next = (body: unknown) => (body as { data: { id: string }[] }).data.at(-1)?.id;
    expect(parsed({ next }, bytesOf(page(ORDER, ORDER))).next).toBe("2");
    const counted = parsed({ remaining: "data.length" }, bytesOf(page(ORDER, ORDER)));
    expect(counted.lag).toBe(2);
  });
});

describe("R114: bytes are decoded as they say, and never replaced:", () => {
  const text = page('"žluťoučký 😀"');
  const utf16 = Buffer.from(`\ufeff${text}`, "utf16le");
  test.each<[string, RawPage, string]>([
    [
      "latin 1",
      {
        bytes: Buffer.from(page('"é"'), "latin1"),
        contentType: "application/json; charset=iso-8859-1",
      },
      '"é"',
    ],
    [
      "in quotes and capitals",
      {
        bytes: Buffer.from(page('"é"'), "latin1"),
        contentType: 'application/json; Charset="ISO-8859-1"',
      },
      '"é"',
    ],
    [
      "windows-1250",
      {
        bytes: Buffer.from(page('"x"').replace('"x"', '"\x9e"'), "latin1"),
        contentType: "text/json;charset=windows-1250",
      },
      '"ž"',
    ],
    ["utf-8 without a word", { bytes: Buffer.from(text) }, '"žluťoučký 😀"'],
    ["utf-8 with a mark", { bytes: Buffer.from(`\ufeff${text}`) }, '"žluťoučký 😀"'],
    ["utf-16 by its mark", { bytes: utf16, contentType: "application/json" }, '"žluťoučký 😀"'],
    [
      "utf-16 by its word",
      { bytes: utf16.subarray(2), contentType: "application/json; charset=utf-16le" },
      '"žluťoučký 😀"',
    ],
  ])("%s", (_, raw, expected) => {
    expect(textOf(parsed({ payload: "order" }, raw).events[0])).toBe(expected);
  });

  test("a charset that nobody knows, or bytes that are not what was said, hold the page, which is kept", () => {
    const contentType = "application/json; charset=x-klingon";
    expect(() => parsed({}, { bytes: Buffer.from(text), contentType })).toThrow(
      expect.objectContaining({
        name: "SourceAnswered",
        message: expect.stringContaining("x-klingon"),
      }),
    );
    const cut = { bytes: utf16.subarray(2, 81), contentType: "application/json; charset=utf-16le" };
    expect(() => parsed({}, cut)).toThrow(/not utf-16le/);
  });

  test("of a page in UTF-8 only the items with bad bytes are set aside, with their bytes; without a name it is held", () => {
    const broken = Buffer.from(page('"a"', '"\x00"', '"ž"'));
    broken[broken.indexOf(0)] = 0xff;
    const { events, next } = parsed({ payload: "order" }, { bytes: broken });
    expect(events.map((one) => [one.id, isBad(one)])).toEqual([
      ["1", false],
      ["2", true],
      ["3", false],
    ]);
    expect(next).toBe("9007199254740995");
    expect(textOf(events[2])).toBe('"ž"');
    const [, bad] = events;
    if (bad === undefined || !isBad(bad)) throw new Error("it was not set aside");
    expect(bad.error).toContain("not utf-8");
    expect(Buffer.from(bad.raw)).toEqual(
      Buffer.concat([
        Buffer.from('{"id": "2", "order": "'),
        Buffer.from([0xff]),
        Buffer.from('"}'),
      ]),
    );
    const named = Buffer.from('{"data": [{"id": "\x00"}]}');
    named[named.indexOf(0)] = 0xff;
    expect(() => parsed({}, { bytes: named })).toThrow(/item 0 of the page/);
  });

  test("an answer of HTTP keeps its bytes until it is parsed", async () => {
    const contentType = "application/json; charset=iso-8859-2";
    const server = await httpServer((_, response) => {
      response.writeHead(200, { "content-type": contentType });
      response.end(Buffer.from('[{"id":"1","n":"\xbe"}]', "latin1"));
    });
    onTestFinished(() => server.close());
    const source = httpSource({ name: "feed", url: server.url, page: "id" }) as PullSource;
    const raw = await source.request(windowOf(source), fetchContext());
    expect(Buffer.from(raw.bytes).includes(0xbe)).toBe(true);
    expect(source.parse(raw, windowOf(source)).events[0]).toMatchObject({ payload: { n: "ž" } });
  });

  test.each<[string, Partial<StreamMessage>, string | RegExp]>([
    ["by its content type", { contentType: "application/json; charset=iso-8859-2" }, '"ž"'],
    ["by its content encoding", { contentEncoding: "iso-8859-2" }, '"ž"'],
    ["that is not UTF-8", {}, /not utf-8/],
    ["that is compressed", { contentEncoding: "gzip" }, /content encoding is "gzip"/],
    ["in something unknown", { contentEncoding: "klingon" }, /"klingon"/],
  ])("a message of a broker %s", async (_, properties, expected) => {
    const body = Buffer.from('"\xbe"', "latin1");
    const stop = new AbortController();
    const seen: unknown[] = [];
    const source = rabbitmqStreamSource({
      name: "orders",
      url: "amqp://localhost",
      stream: "orders",
      client: {
        subscribe: async ({ onMessage }) => {
          onMessage({ offset: 0, body, headers: {}, ...properties });
          return {
            ended: new Promise(() => undefined),
            ack: () => stop.abort(),
            lastOffset: async () => 0,
            close: async () => undefined,
          };
        },
      },
    });
    const deliver = async ({ events }: { events: readonly unknown[] }) => void seen.push(...events);
    await source.open("-1", { ...fetchContext(stop.signal), limit: 10, deliver });
    const [event] = seen as [SourceEvent];
    if (typeof expected === "string") expect(textOf(event)).toBe(expected);
    else expect(event).toMatchObject({ raw: body, error: expect.stringMatching(expected) });
  });

  test("a line of a file keeps its text, and one that is not UTF-8 its bytes", async () => {
    const folder = await mkdtemp(join(tmpdir(), "pawl-lines-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    const path = join(folder, "lines");
    await appendFile(path, Buffer.from(`${ORDER}\n{"n": "\xff"}\n`, "latin1"));
    const { pages } = await readAll(fileSource({ name: "lines", path }) as PullSource);
    const [good, bad] = pages.flatMap(({ events }) => events);
    expect(textOf(good)).toBe(ORDER);
    expect(bad).toMatchObject({ raw: Buffer.from('{"n": "\xff"}', "latin1") });
  });
});

test("R114: from the feed to `store`, to the table and after being set aside, a payload keeps its digits; a batch ends before it is too large", async () => {
  const seen: { id: string; text: string }[][] = [];
  let isFixed = false;
  const events = ["1", "2"].map((id) => ({ id, payload: rawJson(ORDER) }));
  const large = rawJson(`[${"{},".repeat(500_000)}{}]`);
  const { pawl, becomes } = await inboxApp(
    [
      fakeSource([...events, ...["3", "4", "5", "6"].map((id) => ({ id, payload: large }))], {
        name: "handled",
        store: async (batch) => {
          seen.push(batch.map(({ id, payloadText }) => ({ id, text: payloadText })));
        },
        storeBatch: 10,
        order: "source",
      }).source,
      fakeSource(events, { name: "tabled" }).source,
      defineSource({
        name: "aside",
        gap: 0,
        request: async () => bytesOf("once"),
        parse: (_, { after }) =>
          after === "0"
            ? { events: [{ id: "1", raw: Buffer.from(ORDER), error: "no" }] }
            : { events: [] },
        decode: (raw, id) => {
          if (!isFixed) throw new Error("not yet");
          return { id, payload: rawJson(Buffer.from(raw).toString()) };
        },
      }),
    ],
    { maxPayloadBytes: 4_194_304 },
  );
  await becomes("handled", { storedCount: 6, backlog: 0 });
  await becomes("tabled", { storedCount: 2, backlog: 0 });
  const aside = await until("one is set aside", async () => {
    const [row] = await pawl.inbox.list({ source: "aside" });
    return row;
  });
  isFixed = true;
  await pawl.inbox.retry([aside.number], { why: "it is fixed" });
  await becomes("aside", { storedCount: 1 });
  const texts = await pawl.store.rows<{ text: string }>(
    "select distinct payload::text as text from pawl.stored_event",
  );
  expect(texts).toEqual([{ text: STORED }]);
  expect(seen.flat().slice(0, 2)).toEqual(["1", "2"].map((id) => ({ id, text: STORED })));
  const sizes = seen.map((batch) => batch.reduce((sum, { text }) => sum + text.length, 0));
  expect(Math.max(...sizes)).toBeLessThanOrEqual(4_194_304);
  expect(seen.flat().map(({ id }) => id)).toEqual(["1", "2", "3", "4", "5", "6"]);
});
