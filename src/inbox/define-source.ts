/** `defineSource`: a source of the app's own. */

import { PawlError } from "../base/errors.ts";
import { badOption, refuseUnknownOptions } from "../base/options.ts";
import type {
  BadEvent,
  FetchContext,
  FetchSource,
  Page,
  PullSource,
  PushContext,
  PushSource,
  RawPage,
  SourceEvent,
  Window,
} from "./source.ts";
import { called, SOURCE_OPTIONS, type SourceOptions, sourceBase } from "./source-options.ts";

export {
  SOURCE_OPTIONS,
  type SourceKind,
  type SourceOptions,
  sourceBase,
} from "./source-options.ts";

type Events = readonly (SourceEvent | BadEvent)[];

interface OwnOptions extends SourceOptions {
  /** Default `number`: ids are whole numbers, and the last one is the cursor. `opaque`: each page names the next cursor. */
  cursor?: "number" | "opaque";
  /** Reads the bytes of an event that was set aside, once more, when a person retries it; default: as JSON, the payload. */
  decode?: (raw: Uint8Array, id: string) => SourceEvent;
}

export interface FetchSourceOptions extends OwnOptions {
  /** Events beyond `after`, at most `limit`, their ids ascending: the array, or a page. None: there is nothing more now. */
  fetch: (
    after: string,
    limit: number,
    context: FetchContext & { state: Window["state"] },
  ) => Promise<Events | Page>;
}

export interface PullSourceOptions extends OwnOptions {
  /** Asks for one window; answers the bytes as they came. */
  request: (window: Window, context: FetchContext) => Promise<RawPage>;
  /** Reads what was kept; pure, since it may run again. */
  parse: (page: RawPage, window: Window) => Page;
}

export interface PushSourceOptions extends OwnOptions {
  /** Delivers pages from `cursor` on until the signal aborts. */
  open: (cursor: string, context: PushContext) => Promise<void>;
}

/**
 * A source of your own: `fetch` for pages of events, `request` and `parse` for pages that are kept as they came before
 * they are read, `open` for what delivers by itself.
 *
 * @throws PawlError `invalid_option`
 */
export function defineSource(options: FetchSourceOptions): FetchSource;
export function defineSource(options: PullSourceOptions): PullSource;
export function defineSource(options: PushSourceOptions): PushSource;
export function defineSource(
  options: FetchSourceOptions | PullSourceOptions | PushSourceOptions,
): FetchSource | PullSource | PushSource {
  refuseUnknownOptions("defineSource", options, [
    ...SOURCE_OPTIONS,
    "cursor",
    "decode",
    "fetch",
    "request",
    "parse",
    "open",
  ]);
  const { cursor = "number" } = options;
  const at = `source "${options.name}"`;
  if (cursor !== "number" && cursor !== "opaque")
    throw badOption(at, "cursor", '"number" or "opaque"', cursor);
  const isOpen = "open" in options;
  const { decode } = options;
  const base = {
    ...sourceBase(options, {
      type: isOpen ? "push" : "pull",
      config: {},
      cursor,
      ...(isOpen && cursor === "number" && { start: "-1" }),
    }),
    ...(decode !== undefined && { decode: called(at, "decode", decode) }),
  };
  const ways = ["fetch", "request", "open"].filter((way) => way in options);
  if (ways.length !== 1) {
    throw new PawlError(
      "invalid_option",
      `${at}: expected one of \`fetch\`, \`request\` (with \`parse\`) and \`open\`, got ${ways.length === 0 ? "none" : ways.join(" and ")}`,
    );
  }
  if ("open" in options) return Object.freeze({ ...base, open: called(at, "open", options.open) });
  if ("request" in options) {
    const request = called(at, "request", options.request);
    return Object.freeze({ ...base, request, parse: called(at, "parse", options.parse) });
  }
  const fetch = called(at, "fetch", options.fetch);
  return Object.freeze({
    ...base,
    fetch: async ({ after, limit, state }: Window, context: FetchContext) => {
      const answer = await fetch(after, limit, { ...context, state });
      return Array.isArray(answer) ? { events: answer as Events } : (answer as Page);
    },
  });
}
