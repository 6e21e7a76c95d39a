/** Reads a source as the loader does, without one: window after window, until it says that there is no more. */

import { silentLogger } from "../../../src/base/log.ts";
import type { FetchContext, Page, PullSource, RawPage, Window } from "../../../src/inbox/source.ts";
import { openSender } from "../../../src/sender/sender.ts";

export const windowOf = (source: PullSource): Window => ({
  after: source.start,
  limit: source.limit,
  state: null,
});

export function fetchContext(signal: AbortSignal = new AbortController().signal): FetchContext {
  return { signal, http: openSender({ allow: ["127.0.0.1"] }), log: silentLogger };
}

export async function readOne(
  source: PullSource,
  window: Window,
  onRaw: (raw: RawPage) => void = () => undefined,
): Promise<{ page: Page; window: Window }> {
  const raw = await source.request(window, fetchContext());
  onRaw(raw);
  // As the loader keeps it: what is parsed has been in the database.
  const kept = {
    ...raw,
    ...(raw.info !== undefined && { info: JSON.parse(JSON.stringify(raw.info)) }),
  };
  const page = source.parse(kept, window);
  const last = page.events.at(-1)?.id ?? window.after;
  return {
    page,
    window: {
      ...window,
      after: page.next ?? (source.cursor === "number" ? last : window.after),
      state: page.state === undefined ? window.state : JSON.parse(JSON.stringify(page.state)),
    },
  };
}

export async function readAll(
  source: PullSource,
  from: Window = windowOf(source),
  onRaw: (raw: RawPage) => void = () => undefined,
): Promise<{ pages: Page[]; window: Window }> {
  const pages: Page[] = [];
  let window = from;
  for (;;) {
    const read = await readOne(source, window, onRaw);
    pages.push(read.page);
    window = read.window;
    if (!(read.page.more ?? read.page.events.length >= window.limit)) return { pages, window };
  }
}
