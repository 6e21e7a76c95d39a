/** `defineSource`: a source of your own. */

import { PawlError } from "../base/errors.ts";
import { badOption } from "../base/options.ts";
import { withDefault } from "../options/field.ts";
import { choice, func } from "../options/kinds.ts";
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
import { readSource, type SourceOptions } from "./source-options.ts";

export { readSource, type SourceKind, type SourceOptions } from "./source-options.ts";

type Events = readonly (SourceEvent | BadEvent)[];

interface OwnOptions extends SourceOptions {
  /** `number` (default): ids are whole numbers, and the last one is the cursor. `opaque`: each page names the next cursor. */
  cursor?: "number" | "opaque";
  /** Decodes the bytes of an event that was set aside, when an operator retries it. Default: the bytes are JSON, the payload. */
  decode?: (raw: Uint8Array, id: string) => SourceEvent;
}

export interface FetchSourceOptions extends OwnOptions {
  /**
   * Returns a maximum of `limit` events after the cursor `after`, with ascending ids, as an array or a page. Empty: there is
   * nothing more now.
   */
  fetch: (
    after: string,
    limit: number,
    context: FetchContext & { state: Window["state"] },
  ) => Promise<Events | Page>;
}

export interface PullSourceOptions extends OwnOptions {
  /** Requests one window and returns the bytes as received. */
  request: (window: Window, context: FetchContext) => Promise<RawPage>;
  /** Parses the stored page. Must be pure: it may run again. */
  parse: (page: RawPage, window: Window) => Page;
}

export interface PushSourceOptions extends OwnOptions {
  /** Delivers pages, starting at `cursor`, until the signal aborts. */
  open: (cursor: string, context: PushContext) => Promise<void>;
}

const OWN = {
  cursor: withDefault("number", choice(["number", "opaque"])),
  decode: func<NonNullable<OwnOptions["decode"]>>("of the bytes of an event"),
  fetch: func<FetchSourceOptions["fetch"]>("of a cursor"),
  request: func<PullSourceOptions["request"]>("of a window"),
  parse: func<PullSourceOptions["parse"]>("of a page"),
  open: func<PushSourceOptions["open"]>("of a cursor"),
};

/**
 * Defines a source of your own: with `fetch`, which returns pages of events; with `request` and `parse`, whose pages are
 * stored as received before they are parsed; or with `open`, which delivers pages by itself.
 *
 * @throws PawlError `invalid_option`
 */
export function defineSource(options: FetchSourceOptions): FetchSource;
export function defineSource(options: PullSourceOptions): PullSource;
export function defineSource(options: PushSourceOptions): PushSource;
export function defineSource(
  options: FetchSourceOptions | PullSourceOptions | PushSourceOptions,
): FetchSource | PullSource | PushSource {
  const { own, at, base: baseOf } = readSource("defineSource", OWN, options);
  const { cursor, decode, fetch, request, parse, open } = own;
  const isOpen = open !== undefined;
  const base = {
    ...baseOf({
      type: isOpen ? "push" : "pull",
      config: {},
      cursor,
      ...(isOpen && cursor === "number" && { start: "-1" }),
    }),
    ...(decode !== undefined && { decode }),
  };
  const ways = Object.entries({ fetch, request, open }).filter(([, way]) => way !== undefined);
  if (ways.length !== 1) {
    const given = ways.map(([way]) => way).join(" and ");
    throw new PawlError(
      "invalid_option",
      `${at}: expected one of \`fetch\`, \`request\` (with \`parse\`) and \`open\`, got ${given || "none"}`,
    );
  }
  if (isOpen) return Object.freeze({ ...base, open });
  if (request !== undefined) {
    if (parse === undefined) throw badOption(at, "parse", "a function of a page", parse);
    return Object.freeze({ ...base, request, parse });
  }
  return Object.freeze({
    ...base,
    fetch: async ({ after, limit, state }: Window, context: FetchContext) => {
      const answer = await fetch?.(after, limit, { ...context, state });
      return Array.isArray(answer) ? { events: answer as Events } : (answer as Page);
    },
  });
}
