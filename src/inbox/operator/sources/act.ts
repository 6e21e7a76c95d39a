/** Checks and does what an operator asks of a source; a refusal says what to do instead. */

import { PawlError, shown } from "../../../base/errors.ts";
import { isName } from "../../../base/text.ts";
import type { Act } from "../../../operate/sql.ts";
import type { Executor } from "../../../store/executor.ts";
import {
  type ActedSource,
  releaseSource,
  retrySource,
  rewindSource,
  type SourceState,
  skipSource,
} from "../sql.ts";
import { requireSource } from "./find.ts";

const INTEGER = /^-?\d{1,18}$/;
const NO_TARGET =
  "the page of its window named no cursor after it; say after which cursor it goes on (`--to`)";
export const CURSOR_CHARS_MAX = 4_096;

export type SourceAct = { name: string } & (
  | { verb: "release" }
  /** fetch: makes the request again although the page is stored. */
  | { verb: "retry"; fetch?: boolean }
  /** to: the cursor after which loading continues. */
  | { verb: "skip"; to?: string }
  | { verb: "rewind"; to: string }
);

/** @throws PawlError `source_not_found`, `invalid_option` */
export async function changeSource(
  executor: Executor,
  given: SourceAct,
  act: Act,
): Promise<ActedSource> {
  const { name } = given;
  const source = await requireSource(executor, name);
  const at = `source "${name}"`;
  const acted = await actOn(executor, source, given, act);
  if (acted.outcome === "done") return acted;
  throw refused(`${at}: ${why(acted, given)}`);
}

function actOn(
  executor: Executor,
  source: SourceState,
  given: SourceAct,
  act: Act,
): Promise<ActedSource> {
  const { name } = source;
  switch (given.verb) {
    case "retry":
      return retrySource(executor, { name, fetch: given.fetch ?? false }, act);
    case "release":
      return releaseSource(executor, name, act);
    case "skip":
      return skipSource(executor, { name, to: skipTo(source, given.to) }, act);
    case "rewind":
      return rewindSource(executor, { name, to: cursorOf(source, given.to) }, act);
    default:
      return given satisfies never;
  }
}

/** Undefined: the next cursor that the page of its window named. */
function skipTo(source: SourceState, to: string | undefined): string | undefined {
  if (to !== undefined) return cursorOf(source, to);
  if (source.heldAt === null || source.nextCursor !== null) return undefined;
  throw refused(`source "${source.name}": ${NO_TARGET}`);
}

function cursorOf({ name, cursorKind, requested }: SourceState, to: string): string {
  const isNumber = cursorKind === "number";
  if (isNumber ? INTEGER.test(to) : isName(to, CURSOR_CHARS_MAX)) {
    return isNumber ? String(BigInt(to)) : to;
  }
  throw refused(
    `source "${name}": expected the cursor to be ${isNumber ? "a whole number" : "a text"} such as ${shown(requested)}, got ${shown(to)}`,
  );
}

function why(
  { outcome, fromCursor: from, toCursor: to }: ActedSource,
  { verb }: SourceAct,
): string {
  switch (outcome) {
    case "in_progress":
      return `its window after ${shown(from)} is in progress; wait for its end`;
    case "not_held":
      return `it is not held and no window of it has failed, so there is nothing to ${verb}`;
    case "no_target":
      return NO_TARGET;
    case "not_forward":
      return `skip goes forward: ${to} is not after ${from}`;
    case "not_back":
      return `rewind goes back: ${to} is not before ${from}`;
    default:
      return "it is not there any more";
  }
}

function refused(message: string): PawlError {
  return new PawlError("invalid_option", message);
}
