/** A source in memory that returns pages by id, fails when told to, and records each request. */

import { PawlError, shown } from "../base/errors.ts";
import { elementSpans, objectText, RawJson, spanAt, textAt } from "../base/json-text.ts";
import { isOptions } from "../base/options.ts";
import { readSource, type SourceOptions } from "../inbox/define-source.ts";
import { exactEvent } from "../inbox/exact.ts";
import {
  type Page,
  type PullSource,
  type RawPage,
  SourceAnswered,
  type SourceEvent,
  SourceUnavailable,
  type Window,
} from "../inbox/source.ts";
import { readValue, withDefault } from "../options/field.ts";
import { choice } from "../options/kinds.ts";
import { anything } from "../options/parts.ts";

/**
 * `unsent`, `answered`, `unknown`: the three kinds of fault. `lost`: the answer never comes; the signal or the timeout ends
 * the request. `repeated`: one id twice, which is a duplicate. The others are answers that break the contract: ids not
 * ascending, ids at or below the cursor, more events than requested, a page that cannot be read.
 */
export const FAKE_FAULTS = [
  "unsent",
  "answered",
  "unknown",
  "lost",
  "unordered",
  "behind",
  "repeated",
  "too-many",
  "unreadable",
] as const;
export type FakeFault = (typeof FAKE_FAULTS)[number];

export interface FakeRequest {
  /** The number of the request, from 1. */
  readonly no: number;
  readonly after: string;
  readonly limit: number;
  readonly fault?: FakeFault;
  /** Ids of the events in the answer. */
  readonly ids: readonly string[];
}

export interface FakeSourceOptions extends Partial<SourceOptions> {
  /** Faults by the number of the request, `{ 2: "unknown" }`, or a function of the request. */
  faults?:
    | Readonly<Record<number, FakeFault>>
    | ((request: { no: number; after: string; limit: number }) => FakeFault | undefined);
}

export interface FakeSource {
  /** For `sources: […]` of the app. */
  readonly source: PullSource;
  readonly requests: readonly FakeRequest[];
  /** How often each id was in an answer that was not a fault. */
  readonly fetched: ReadonlyMap<string, number>;
  /** Adds events; their ids must be greater than the earlier ones. */
  add(...events: SourceEvent[]): void;
}

const OWN = { faults: withDefault({}, anything<Faults>("by the number of the request")) };
type Faults = NonNullable<FakeSourceOptions["faults"]>;

/**
 * Makes a fake source.
 *
 * @param events events with ascending whole numbers as ids; or a number of events to make, with ids from 1 and `{ n: id }`
 * as payload
 * @param options options of every source, with defaults for tests: name `fake`, no gap, idle for 10 ms
 */
export function fakeSource(
  events: readonly SourceEvent[] | number,
  options: FakeSourceOptions = {},
): FakeSource {
  const given = isOptions(options) ? { name: "fake", gap: 0, idle: 10, ...options } : options;
  const { own, base: baseOf } = readSource("fakeSource", OWN, given);
  const { faults } = own;
  refuseUnknownFaults(faults);
  const all = typeof events === "number" ? madeEvents(events) : [...events];
  refuseDisorder(all);
  const requests: FakeRequest[] = [];
  const fetched = new Map<string, number>();
  const base = baseOf({ type: "fake", config: {}, cursor: "number" });
  const answer = ({ after, limit }: Window): { fault: FakeFault | undefined; page: Page } => {
    const no = requests.length + 1;
    const fault = typeof faults === "function" ? faults({ no, after, limit }) : faults[no];
    const events = brokenBy(fault, all, { after, limit });
    const ids = events.map((event) => event.id);
    requests.push({ no, after, limit, ...(fault !== undefined && { fault }), ids });
    if (fault === undefined) for (const id of ids) fetched.set(id, (fetched.get(id) ?? 0) + 1);
    return { fault, page: { events } };
  };
  return {
    source: Object.freeze({
      ...base,
      request: async (window: Window, { signal }: { signal: AbortSignal }) => {
        const { fault, page } = answer(window);
        await failAs(fault, signal);
        return rawPage(fault === "unreadable" ? "no page" : pageText(page));
      },
      parse: (page: RawPage) => parsed(page),
    }),
    requests,
    fetched,
    add: (...more) => {
      refuseDisorder([...all.slice(-1), ...more]);
      all.push(...more);
    },
  };
}

function refuseUnknownFaults(faults: Faults): void {
  if (typeof faults === "function") return;
  for (const [no, fault] of Object.entries(faults))
    readValue("fakeSource", `faults.${no}`, choice(FAKE_FAULTS), fault);
}

function madeEvents(count: number): SourceEvent[] {
  return Array.from({ length: count }, (_, i) => ({ id: String(i + 1), payload: { n: i + 1 } }));
}

function refuseDisorder(events: readonly SourceEvent[]): void {
  for (const [i, { id }] of events.entries()) {
    const previous = events[i - 1];
    const isWhole = /^-?\d+$/.test(id);
    if (isWhole && (previous === undefined || BigInt(previous.id) < BigInt(id))) continue;
    throw new PawlError(
      "invalid_option",
      `fakeSource: expected ascending whole numbers as ids, got ${shown(id)} after ${shown(previous?.id)}`,
      { data: { option: "events" } },
    );
  }
}

function brokenBy(
  fault: FakeFault | undefined,
  all: readonly SourceEvent[],
  { after, limit }: Pick<Window, "after" | "limit">,
): SourceEvent[] {
  const beyond = all.filter(({ id }) => BigInt(id) > BigInt(after));
  const page = beyond.slice(0, limit);
  const first = page[0];
  switch (fault) {
    case undefined:
      return page;
    case "unordered":
      return page.toReversed();
    case "behind":
      return [{ id: after, payload: null }, ...page].slice(0, limit);
    case "repeated":
      return first === undefined ? [] : [first, first];
    case "too-many":
      return [...page, ...madeBeyond(page.at(-1)?.id ?? after, limit + 1 - page.length)];
    default:
      return [];
  }
}

function madeBeyond(id: string, count: number): SourceEvent[] {
  return Array.from({ length: count }, (_, i) => ({
    id: String(BigInt(id) + BigInt(i + 1)),
    payload: null,
  }));
}

async function failAs(fault: FakeFault | undefined, signal: AbortSignal): Promise<void> {
  if (fault === "unsent") throw new SourceUnavailable("fake: not reached", { sent: "no" });
  if (fault === "unknown") throw new SourceUnavailable("fake: no answer", { sent: "unknown" });
  if (fault === "answered") throw new SourceAnswered("fake: status 500", { status: 500 });
  if (fault !== "lost") return;
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
  throw new SourceUnavailable("fake: given up before the answer", { sent: "unknown" });
}

function rawPage(text: string): RawPage {
  return { bytes: Buffer.from(text), contentType: "application/json" };
}

/** As a feed would send it: payloads that are `rawJson` keep their texts. */
function pageText({ events }: Page): string {
  return `{"events":[${events.map((event) => objectText({ ...event })).join(",")}]}`;
}

function parsed({ bytes }: RawPage): Page {
  try {
    const text = Buffer.from(bytes).toString();
    const list = spanAt(text, ["events"]);
    const spans = list === undefined ? undefined : elementSpans(text, list);
    if (spans === undefined) throw new Error("there are no events");
    return { events: spans.map(({ start, end }) => eventIn(text.slice(start, end))) };
  } catch (cause) {
    throw new SourceAnswered("fake: the page cannot be read", { cause });
  }
}

function eventIn(text: string): SourceEvent {
  const event = JSON.parse(text) as SourceEvent;
  const payload = textAt(text, ["payload"]);
  return payload === undefined ? event : exactEvent({ ...event, payload: new RawJson(payload) });
}
