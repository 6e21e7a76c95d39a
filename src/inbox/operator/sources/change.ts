/** The verbs by which an operator decides about a source: `pause`, `resume`, `retry`, `release`, `skip` and `rewind`. */

import { PawlError, shown } from "../../../base/errors.ts";
import { type PauseAndResume, pausing } from "../../../kernel/operator/switches/pausing.ts";
import { type Desk, type Verb, verb } from "../../../operate/verb.ts";
import { type Field, required } from "../../../options/field.ts";
import { flag, name } from "../../../options/kinds.ts";
import type { ActedSource } from "../sql.ts";
import { CURSOR_CHARS_MAX, changeSource, type SourceAct } from "./act.ts";
import type { Sources } from "./sources.ts";

export const NAME: Field<string, string, "required"> = required(name("the source"));

const switched: PauseAndResume = pausing({
  kind: "source",
  name: NAME,
  pause: {
    help: "Pause a source: it gets no more requests; events already received are still stored",
    examples: [
      ['pawl sources pause orders --why "erp down" --until 30m', "as `pawl off source:orders`"],
      ["pawl sources pause orders --wait", "return when no request of it is under way"],
    ],
  },
  resume: {
    help: "Resume a paused source",
    examples: [["pawl sources resume orders", "as `pawl on source:orders`"]],
  },
});
export const pause: Verb<Sources["pause"], Desk> = switched.pause;
export const resume: Verb<Sources["resume"], Desk> = switched.resume;

export const retry: Verb<Sources["retry"], Desk> = verb({
  help: "Retry the window that is held",
  examples: [
    [
      "pawl sources retry orders",
      "parse the stored page, or make the request again if there is none",
    ],
    ["pawl sources retry orders --fetch", "make the request again, even if a page is stored"],
  ],
  input: { name: NAME, fetch: flag("make the request again, even if the page is stored") },
  args: ["name"],
  changes: true,
  run: ({ store }: Desk, input, act) => changeSource(store, { ...input, verb: "retry" }, act),
  ...shownAs("retry", "its window is tried again"),
});

export const release: Verb<Sources["release"], Desk> = verb({
  help: "Discard the held window and its page; the same cursor is fetched again",
  examples: [
    ['pawl sources release orders --why "nothing was executed"', "a new window is reserved"],
  ],
  input: { name: NAME },
  args: ["name"],
  changes: true,
  run: ({ store }: Desk, input, act) => changeSource(store, { ...input, verb: "release" }, act),
  ...shownAs("release", "its window was discarded, a new one is reserved"),
});

export const skip: Verb<Sources["skip"], Desk> = verb({
  help: "Skip the held window and continue after it; its events are not loaded",
  examples: [['pawl sources skip orders --to 2000 --why "they sent nonsense"', "go on after 2000"]],
  input: {
    name: NAME,
    to: name(
      "continue after this cursor (default: the next cursor that the page named)",
      "cursor",
      CURSOR_CHARS_MAX,
    ),
  },
  args: ["name"],
  changes: true,
  isWhyRequired: true,
  run: ({ store }: Desk, input, act) => changeSource(store, { ...input, verb: "skip" }, act),
  ...shownAs("skip", "it goes on after the window"),
});

export const rewind: Verb<Sources["rewind"], Desk> = verb({
  help: "Go back to a cursor: events are fetched again, and those already stored are dropped",
  examples: [
    [
      'pawl sources rewind orders --to 1000 --confirm orders --why "some were missing"',
      "go on after 1000",
    ],
  ],
  input: {
    name: NAME,
    to: required(name("the cursor to go back to", "cursor", CURSOR_CHARS_MAX)),
    confirm: name("the name of the source again, to confirm; required"),
  },
  args: ["name"],
  changes: true,
  isWhyRequired: true,
  check: ({ name: source, confirm }) => refuseUnconfirmed(source, confirm),
  run: ({ store }: Desk, { name: source, to }, act) =>
    changeSource(store, { name: source, to, verb: "rewind" }, act),
  ...shownAs("rewind", "it went back"),
});

/** What was typed must be the source's name: going back is rarely meant. @throws PawlError `invalid_option` */
function refuseUnconfirmed(source: string, typed: string | undefined): void {
  if (typed === source) return;
  throw new PawlError(
    "invalid_option",
    `source ${shown(source)}: rewind asks for its events again; confirm it by typing its name`,
    { data: { option: "confirm" } },
  );
}

function shownAs(action: SourceAct["verb"], said: string) {
  return {
    json: (
      { fromCursor: from, toCursor: to, windowId: window }: ActedSource,
      { name: source }: { name: string },
    ) => ({ action, source, from, to, window }),
    text: (
      { fromCursor: from, toCursor: to }: ActedSource,
      { name: source }: { name: string },
    ): string => {
      const where = from === to ? `behind ${JSON.stringify(from)}` : `from ${from} to ${to}`;
      return `source ${source}: ${said}, ${where}`;
    },
  };
}
