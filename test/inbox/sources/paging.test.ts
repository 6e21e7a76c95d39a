import { describe, expect, test } from "vitest";
import { checkPage } from "../../../src/inbox/contract.ts";
import type { PullSource, Window } from "../../../src/inbox/source.ts";
import { type HttpSourceOptions, httpSource } from "../../../src/inbox/sources/http.ts";

/** A feed that is asked without a network: what it answers for a cursor. */
type Feed = (after: string, limit: number) => unknown;

const DAY = Date.UTC(2030, 0, 1);
const at = (ms: number) => new Date(DAY + ms).toISOString();

function sourceOf(options: Partial<HttpSourceOptions>): PullSource {
  return httpSource({
    name: "feed",
    url: "https://feed.example/",
    page: "timestamp",
    ...(options.page === undefined && { occurredAt: "at" }),
    ...options,
  });
}

/** Window after window, as the loader, until there is no more; at most 100. */
function load(
  source: PullSource,
  feed: Feed,
  from?: Window,
): { ids: Set<string>; window: Window; pages: number } {
  const ids = new Set<string>();
  let window = from ?? { after: source.start, limit: source.limit, state: null };
  for (let pages = 1; pages <= 100; pages += 1) {
    const bytes = Buffer.from(JSON.stringify(feed(window.after, window.limit)));
    const page = source.parse({ bytes, contentType: "application/json", info: {} }, window);
    for (const { id } of page.events) ids.add(id);
    const { after, limit } = window;
    const checked = checkPage(page, {
      cursor: source.cursor,
      after,
      limit,
      payloadBytesMax: 1_000,
    });
    const next = checked.next ?? after;
    const state = page.state === undefined ? window.state : JSON.parse(JSON.stringify(page.state));
    window = { after: next, limit, state };
    if (!page.more) return { ids, window, pages };
  }
  throw new Error("it never ends");
}

const byTime =
  (all: readonly { id: string; at: string }[], cap: number): Feed =>
  (since) =>
    all.filter((one) => one.at >= since).slice(0, cap);

describe("R48: a feed that gives smaller pages than it is asked for", () => {
  test("by time: all is loaded, also what comes later, and behind an overlap of more than a page", () => {
    const all = Array.from({ length: 200 }, (_, i) => ({ id: `e${i}`, at: at(i * 200) }));
    const source = sourceOf({ overlap: "30s" });
    const first = load(source, byTime(all, 50));
    expect(first.ids.size).toBe(200);
    expect(first.window.after).toBe(at(199 * 200 - 30_000));
    all.push({ id: "new", at: at(200 * 200) });
    const second = load(source, byTime(all, 50), first.window);
    expect(second.ids).toContain("new");
    expect(load(source, byTime(all, 50), second.window).window.after).toBe(second.window.after);
  });

  test("by time: more events of one time than a page are said, once there is anything behind them", () => {
    const tied = Array.from({ length: 60 }, (_, i) => ({ id: `e${i}`, at: at(0) }));
    const first = load(sourceOf({}), byTime(tied, 50));
    expect(first.window.after).toBe(at(-60_000));
    const all = [...tied, { id: "new", at: at(200) }];
    expect(() => load(sourceOf({}), byTime(all, 50), first.window)).toThrow(
      /no next cursor.*limit/,
    );
    // a few at one time are no page, and nothing is behind them
    expect(load(sourceOf({}), byTime(all.slice(57), 50)).ids.size).toBe(4);
  });

  test("by id and by offset: a short page is no end", () => {
    const all = Array.from({ length: 12 }, (_, i) => ({ id: String(i + 1) }));
    const byId = load(sourceOf({ page: "id" }), (after) =>
      all.filter(({ id }) => Number(id) > Number(after)).slice(0, 5),
    );
    expect(byId.ids.size).toBe(12);
    const byOffset = load(sourceOf({ page: "offset" }), (after) =>
      all.slice(Number(after)).slice(0, 5),
    );
    expect([byOffset.ids.size, byOffset.window.after]).toEqual([12, "12"]);
  });

  test("a feed that leads nowhere says so instead of being asked for ever", () => {
    const page = [{ id: "1" }, { id: "2" }];
    expect(() => load(sourceOf({ page: "offset" }), () => page)).toThrow(/ignores it/);
    const next: Record<string, string> = { "": "a", a: "b", b: "c", c: "a" };
    const circle: Feed = (after) => ({ items: [{ id: after || "first" }], next: next[after] });
    const source = sourceOf({ page: "cursor", next: "next", items: "items" });
    expect(() => load(source, circle)).toThrow(/go in a circle/);
    // an empty page with another cursor is an end for now
    const empty = load(source, (after) => ({ items: [], next: `${after}x` }));
    expect([empty.pages, empty.window.after]).toEqual([1, "x"]);
  });
});

describe("an id that stands twice in one page", () => {
  const asked = { after: "0", limit: 10, payloadBytesMax: 1_000 };
  const page = (...ids: string[]) => ({
    events: ids.map((id) => ({ id, payload: {} })),
    next: ids.at(-1) ?? "0",
  });

  test("is a duplicate, not a broken contract; ids that go backwards still are", () => {
    for (const ids of [
      ["1", "1"],
      ["1", "2", "2"],
      ["1", "2", "1", "3"],
    ]) {
      const checked = checkPage(page(...ids), { ...asked, cursor: "number" });
      expect([checked.count, checked.next]).toEqual([ids.length, ids.at(-1)]);
    }
    expect(checkPage(page("a", "b", "a"), { ...asked, cursor: "opaque" }).count).toBe(3);
    for (const ids of [["2", "1"], ["0"], ["1", "3", "2"]]) {
      expect(() => checkPage(page(...ids), { ...asked, cursor: "number" })).toThrow(/contract/);
    }
  });
});
