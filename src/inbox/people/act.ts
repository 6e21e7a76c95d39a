/** What a person does to a source or to events that were set aside: checked, audited, and refused with what to do instead. */

import { PawlError, shown } from "../../base/errors.ts";
import { didYouMean } from "../../base/suggest.ts";
import type { Act } from "../../kernel/people/audit/sql.ts";
import type { Executor } from "../../store/executor.ts";
import {
  type ActedSource,
  actOnSource,
  inboxEvents,
  removeInbox,
  retryInbox,
  type SourceState,
  type SourceVerb,
  sources,
} from "./sql.ts";

const INTEGER = /^-?\d{1,18}$/;
const NO_TARGET =
  "the page of its window named no cursor behind it; say behind which cursor it goes on (`--to`)";
const CURSOR_CHARS_MAX = 4_096;
/** Rows changed by one statement. */
const BATCH = 1_000;

/** @throws PawlError `source_not_found` */
export async function requireSource(executor: Executor, name: string): Promise<SourceState> {
  const all = await sources(executor);
  const found = all.find((one) => one.name === name);
  if (found !== undefined) return found;
  const known = all.map((one) => one.name);
  const hint =
    known.length === 0
      ? "this database knows none yet: `pawl work` tells it those of the app"
      : didYouMean(name, known);
  throw new PawlError("source_not_found", `no source "${name}"; ${hint}`, {
    data: { source: name },
  });
}

export interface SourceAct {
  name: string;
  verb: SourceVerb;
  /** Of skip and rewind: the cursor behind which it goes on. */
  to?: string;
  /** Of retry: asks again although the page is kept. */
  fetch?: boolean;
}

/** @throws PawlError `source_not_found`, `invalid_option` */
export async function changeSource(
  executor: Executor,
  { name, verb, to, fetch }: SourceAct,
  act: Act,
): Promise<ActedSource> {
  const source = await requireSource(executor, name);
  const at = `source "${name}"`;
  if ((verb === "skip" || verb === "rewind") && (act.why ?? "").trim() === "")
    throw refused(`${at}: ${verb} needs a reason, for the audit`);
  if (verb === "rewind" && to === undefined)
    throw refused(`${at}: rewind needs a cursor to go back to`);
  if (to !== undefined) checkCursor(at, source, to);
  else if (verb === "skip" && source.held_at !== null && source.next_cursor === null)
    throw refused(`${at}: ${NO_TARGET}`);
  const acted = await actOnSource(
    executor,
    {
      name,
      verb,
      ...(to !== undefined && { to: source.cursor_kind === "number" ? String(BigInt(to)) : to }),
      ...(fetch !== undefined && { fetch }),
    },
    act,
  );
  if (acted.outcome === "done") return acted;
  throw refused(`${at}: ${why(acted, verb, to)}`);
}

function checkCursor(at: string, { cursor_kind, requested }: SourceState, to: string): void {
  const isFit =
    cursor_kind === "number"
      ? INTEGER.test(to)
      : to.length <= CURSOR_CHARS_MAX && to.isWellFormed() && !to.includes("\0");
  if (isFit) return;
  throw refused(
    `${at}: expected the cursor to be ${cursor_kind === "number" ? "a whole number" : "a text"} such as ${shown(requested)}, got ${shown(to)}`,
  );
}

function why({ outcome, from_cursor: from }: ActedSource, verb: SourceVerb, to?: string): string {
  switch (outcome) {
    case "in_progress":
      return `its window behind ${shown(from)} is under way; wait for its end`;
    case "not_held":
      return `it is not held and no window of it has failed, so there is nothing to ${verb}`;
    case "no_target":
      return NO_TARGET;
    case "not_forward":
      return `skip goes forward: ${to} is not behind ${from}`;
    case "not_back":
      return `rewind goes back: ${to} is not before ${from}`;
    default:
      return "it is not there any more";
  }
}

function refused(message: string): PawlError {
  return new PawlError("invalid_option", message);
}

/** Nothing is half done: one number that is not set aside, and none is touched. */
export async function changeInbox(
  executor: Executor,
  verb: "retry" | "remove",
  numbers: readonly string[],
  act: Act,
): Promise<string[]> {
  await checkInboxChange(executor, verb, numbers, act);
  const changed: string[] = [];
  for (let start = 0; start < numbers.length; start += BATCH) {
    const batch = numbers.slice(start, start + BATCH);
    const change = verb === "retry" ? retryInbox : removeInbox;
    changed.push(...(await change(executor, batch, act)));
  }
  return changed;
}

/** What refuses the act, without the act. @throws PawlError `invalid_option`, `inbox_event_not_found` */
export async function checkInboxChange(
  executor: Executor,
  verb: "retry" | "remove",
  numbers: readonly string[],
  { why = "" }: Pick<Act, "why">,
): Promise<void> {
  if (verb === "remove" && why.trim() === "")
    throw refused("inbox: remove needs a reason, for the audit");
  const rows = await inboxEvents(executor, { numbers, limit: numbers.length });
  const found = new Set(rows.filter((row) => row.state !== "waiting").map((row) => row.number));
  const missing = numbers.find((number) => !found.has(number));
  if (missing === undefined) return;
  throw new PawlError(
    "inbox_event_not_found",
    `inbox ${missing}: no event that was set aside; see \`pawl inbox list\``,
    { data: { number: missing } },
  );
}
