/** The noun `quiet`: the quiet hours that apps define, and when they hold. */

import { PawlError, shown } from "../../../base/errors.ts";
import { didYouMean } from "../../../base/suggest.ts";
import { iso } from "../../../operate/table.ts";
import { type Desk, listing, type Noun, type Verb, verb } from "../../../operate/verb.ts";
import { required, withDefault } from "../../../options/field.ts";
import { integer, name } from "../../../options/kinds.ts";
import type { Store } from "../../../store/store.ts";
import type { Quiet, QuietRow, QuietTime } from "./quiet.ts";
import { passQuiet, quietHours, quietTimes } from "./sql.ts";

const DAYS_MAX = 400;

const list: Verb<Quiet["list"], Desk> = verb({
  help: "List quiet hours, in which nothing starts, and when each holds next",
  examples: [["pawl quiet list", "times are in UTC; FROM and TO in their time zone"]],
  input: {},
  run: ({ store }) => quietHours(store),
  ...listing<QuietRow>("quietHours", [
    { head: "NAME", value: (row) => row.name },
    { head: "STATE", value: stateText },
    { head: "FROM", value: (row) => row.from },
    { head: "TO", value: (row) => row.to },
    { head: "TIME ZONE", value: (row) => row.timeZone },
    { head: "DAYS", value: (row) => row.days?.join(", ") ?? "every day" },
    { head: "HOLDS", value: holdsText },
    { head: "BEGINS", value: (row) => iso(row.begins) },
    { head: "ENDS", value: (row) => iso(row.ends) },
    { head: "WHY", value: (row) => row.why },
  ]),
});

function stateText({ isQuiet, passedUntil, passedBy }: QuietRow): string {
  if (isQuiet) return "quiet";
  return passedUntil === null ? "open" : `forced until ${iso(passedUntil)} by ${passedBy}`;
}

function holdsText({ holds, exempt }: QuietRow): string {
  const except = exempt.length === 0 ? "" : ` except ${exempt.join(", ")}`;
  return `${holds.join(", ")}${except}`;
}

const preview: Verb<Quiet["preview"], Desk> = verb({
  help: "List the coming times of quiet hours",
  examples: [["pawl quiet preview --days 14", "with both changes of the clock, if they come"]],
  input: {
    name: name("only of these quiet hours"),
    days: withDefault(14, integer({ help: "how far to look", max: DAYS_MAX })),
  },
  args: ["name"],
  run: async ({ store }, { name: own, days }) => {
    if (own !== undefined) await known(store, own);
    return quietTimes(store, own ?? null, days);
  },
  ...listing<QuietTime>("times", [
    { head: "NAME", value: (row) => row.name },
    { head: "BEGINS", value: (row) => iso(row.begins) },
    { head: "ENDS", value: (row) => iso(row.ends) },
    { head: "LOCAL", value: localText },
    { head: "FORCED", value: (row) => (row.isPassed ? "yes" : "no") },
  ]),
});

function localText({ begins, ends, timeZone }: QuietTime): string {
  const day = new Intl.DateTimeFormat("en-CA", { timeZone, dateStyle: "short" });
  const time = new Intl.DateTimeFormat("en-GB", {
    timeZone,
    hour: "2-digit",
    minute: "2-digit",
    timeZoneName: "short",
  });
  return `${day.format(begins)} ${time.format(begins)} to ${time.format(ends)}`;
}

const force: Verb<Quiet["force"], Desk> = verb({
  help: "Let work start in spite of quiet hours, once: in the time that holds now, or in the next one",
  examples: [['pawl quiet force closing --why "late invoices"', "tomorrow they hold again"]],
  input: { name: required(name("the quiet hours")) },
  args: ["name"],
  changes: true,
  isWhyRequired: true,
  run: async ({ store }, { name: own }, act) => {
    await known(store, own);
    const passed = await passQuiet(store, own, act);
    if (passed !== undefined) return passed;
    throw new PawlError(
      "invalid_option",
      `quiet hours "${own}": they do not hold within 5 years, so there is nothing to force`,
      { data: { name: own } },
    );
  },
  text: ({ name: own, begins, ends }) =>
    `quiet hours ${own}: nothing is held from ${iso(begins)} to ${iso(ends)}`,
});

async function known(store: Store, own: string): Promise<void> {
  const names = (await quietHours(store)).map((row) => row.name);
  if (names.includes(own)) return;
  const hint = names.length === 0 ? "no app defines any" : didYouMean(own, names);
  throw new PawlError("quiet_hours_not_found", `no quiet hours ${shown(own)}; ${hint}`, {
    data: { name: own },
  });
}

export const quietNoun: Noun<Quiet, Desk> = {
  name: "quiet",
  help: "Look at quiet hours, and let work start in spite of them",
  verbs: { list, preview, force },
};
