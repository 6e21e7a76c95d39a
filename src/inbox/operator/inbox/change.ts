/** The verbs `retry` and `remove`: events that were set aside are stored again or discarded, by number or all. */

import { PawlError, shown } from "../../../base/errors.ts";
import { dryRun } from "../../../kernel/operator/fields.ts";
import { idsOrAll } from "../../../operate/ids-or-all.ts";
import { type Calling, type Desk, type Verb, verb } from "../../../operate/verb.ts";
import { flag, name, numberId } from "../../../options/kinds.ts";
import { several } from "../../../options/parts.ts";
import type { Store } from "../../../store/store.ts";
import { requireSource } from "../sources/find.ts";
import { inboxEvents, removeInbox, retryInbox } from "../sql.ts";
import type { Inbox } from "./inbox.ts";

const ALL_MAX = 100_000;
/** Rows changed by one statement. */
const BATCH = 1_000;

const INPUT = {
  numbers: several(numberId("the events")),
  all: flag("all that were set aside"),
  source: name("with --all: only of this source"),
  dryRun,
} as const;

interface Input {
  numbers?: string[];
  all?: boolean;
  source?: string;
  dryRun?: boolean;
}

type Action = "retry" | "remove";

export const retry: Verb<Inbox["retry"], Desk> = verb({
  help: "Try to store set-aside events again",
  examples: [
    ["pawl inbox retry 42 43", "these two; neither, unless both are set aside"],
    ["pawl inbox retry --all --source orders", "after a fix"],
  ],
  input: INPUT,
  args: ["numbers"],
  changes: true,
  check: targets,
  run: (desk: Desk, input, calling) => change(desk, "retry", { input, calling }),
  ...shownAs("retry"),
});

export const remove: Verb<Inbox["remove"], Desk> = verb({
  help: "Discard set-aside events",
  examples: [
    ['pawl inbox remove 42 --why "a test event"', "its id and the reason stay in the audit"],
    ['pawl inbox remove --all --why "test events" --dry-run', "how many that would be"],
  ],
  input: INPUT,
  args: ["numbers"],
  changes: true,
  isWhyRequired: true,
  check: targets,
  run: (desk: Desk, input, calling) => change(desk, "remove", { input, calling }),
  ...shownAs("remove"),
});

/** All or nothing: if one number is not set aside, none is changed. */
async function change(
  { store }: Desk,
  action: Action,
  { input, calling }: { input: Input; calling: Calling },
): Promise<string[]> {
  const numbers = targets(input, calling) ?? (await setAside(store, input.source));
  await requireSetAside(store, numbers);
  if (input.dryRun === true) return numbers;
  const apply = action === "retry" ? retryInbox : removeInbox;
  const changed: string[] = [];
  for (let start = 0; start < numbers.length; start += BATCH) {
    changed.push(...(await apply(store, numbers.slice(start, start + BATCH), calling)));
  }
  return changed;
}

/** @throws PawlError `inbox_event_not_found` */
async function requireSetAside(store: Store, numbers: readonly string[]): Promise<void> {
  const rows = await inboxEvents(store, { numbers, limit: numbers.length });
  const found = new Set(rows.filter((row) => row.state !== "waiting").map((row) => row.number));
  const missing = numbers.find((number) => !found.has(number));
  if (missing === undefined) return;
  throw new PawlError(
    "inbox_event_not_found",
    `inbox ${shown(missing)}: no event that was set aside; see \`pawl inbox list\``,
    { data: { number: missing } },
  );
}

function targets({ numbers, all, source }: Input, calling: Calling): string[] | undefined {
  return idsOrAll({ ids: numbers, all, filters: { source }, called: "numbers" }, calling);
}

async function setAside(store: Store, source: string | undefined): Promise<string[]> {
  if (source !== undefined) await requireSource(store, source);
  return (await inboxEvents(store, { source, limit: ALL_MAX })).map((row) => row.number);
}

function shownAs(action: Action) {
  return {
    json: (numbers: string[], { all = false, dryRun: isDryRun = false }: Input) => ({
      action,
      dryRun: isDryRun,
      count: numbers.length,
      ...(!all && { numbers }),
    }),
    text: (numbers: string[], { dryRun: isDryRun = false }: Input): string => {
      const events = `${numbers.length} ${numbers.length === 1 ? "event" : "events"}`;
      if (isDryRun) return `would ${action} ${events}`;
      return action === "retry" ? `${events} to be stored again` : `removed ${events}`;
    },
  };
}
