/** Quiet hours: windows of local time in which nothing starts, as an app defines them. */

import { PawlError, shown } from "../../base/errors.ts";
import { type Groups, parseScope, scopesIn, scopeText } from "../../base/scope.ts";
import { didYouMean } from "../../base/suggest.ts";
import { dataText } from "../../base/text.ts";
import {
  type Field,
  type FieldsOf,
  field,
  readOptions,
  required,
  withDefault,
} from "../../options/field.ts";
import { matching, text } from "../../options/kinds.ts";
import { list, object } from "../../options/parts.ts";

const NAME = /^[a-z][a-z0-9_.-]{0,99}$/;
const TIME = /^(?:[01][0-9]|2[0-3]):[0-5][0-9]$/;
const WHY_CHARS_MAX = 500;
const WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;

/** A day of the week, a day of the month, or the month's last day. */
export type QuietDay = (typeof WEEKDAYS)[number] | number | "last";

export interface QuietHoursOptions {
  /** When it begins, as a clock on the wall shows it: `"23:50"`. */
  from: string;
  /** When it ends: `"24:00"`. If this is not after `from`, it ends on the next day. */
  to: string;
  /** The IANA name: `"Europe/Warsaw"`. */
  timeZone: string;
  /** The days on which it begins: `["mon", "fri"]`, `[1, 15]`, `["last"]` (of the month). Default: every day. */
  days?: readonly QuietDay[];
  /** The scopes that it holds: `["queue:invoices", "process:closing"]`. Default: `["all"]`. */
  holds?: readonly string[];
  /** The scopes that go on in spite of it. */
  exempt?: readonly string[];
  /** For operators. */
  why?: string;
}

export interface QuietHours {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  readonly timeZone: string;
  /** null: every day. */
  readonly days: readonly string[] | null;
  readonly holds: readonly string[];
  readonly exempt: readonly string[];
  readonly why: string | null;
}

const timeZone = field<string>({
  kind: "timeZone",
  help: "of the clock on the wall",
  shape: "zone",
  expected: 'the IANA name of a time zone, such as "Europe/Warsaw"',
  read: (given) => (typeof given === "string" && isTimeZone(given) ? given : undefined),
});

const day = field<QuietDay, string>({
  kind: "day",
  help: "on which it begins",
  shape: "day",
  expected: `one of ${WEEKDAYS.join(", ")}, a day of the month from 1 to 31, or "last"`,
  read: (given) => {
    if (given === "last" || WEEKDAYS.some((one) => one === given)) return given as string;
    const isDay = Number.isInteger(given) && (given as number) >= 1 && (given as number) <= 31;
    return isDay ? String(given) : undefined;
  },
});

const scope = field<string>({
  kind: "scope",
  help: "what it holds",
  shape: "scope",
  expected: 'a scope, such as "all", "queue:low", "process:order" or "source:shop"',
  read: (given) => {
    const parsed = typeof given === "string" ? parseScope(given) : undefined;
    // any worker routes, at any time
    return parsed === undefined || parsed.kind === "route" ? undefined : scopeText(parsed);
  },
});

const FIELDS = {
  from: required(matching('a time from "00:00" to "23:59"', (given) => TIME.test(given))),
  to: required(
    matching('a time from "00:00" to "24:00"', (given) => TIME.test(given) || given === "24:00"),
  ),
  timeZone: required(timeZone),
  days: list(day),
  holds: withDefault(["all"], list(scope)),
  exempt: withDefault([], list(scope, { isEmptyOk: true })),
  why: text("for operators", "text", WHY_CHARS_MAX),
} satisfies FieldsOf<QuietHoursOptions>;

export const quietHoursOption: Field<Record<string, QuietHoursOptions>> =
  object<Record<string, QuietHoursOptions>>("each by its name");

/**
 * A group counts as its members.
 * @throws PawlError `invalid_option` naming the option, such as `quietHours.closing.from`; `group_not_found`
 */
export function defineQuietHours(
  named: Record<string, QuietHoursOptions>,
  groups: Groups,
): QuietHours[] {
  return Object.entries(named).map(([name, options]) => one(name, options, groups));
}

function one(name: string, options: QuietHoursOptions, groups: Groups): QuietHours {
  if (!NAME.test(name)) {
    throw new PawlError(
      "invalid_option",
      `quietHours: expected a name of 1 to 100 of a-z, 0-9, "_", "." and "-", starting with a letter, got ${shown(name)}`,
    );
  }
  const where = `quietHours.${name}`;
  const read = readOptions(where, FIELDS, options);
  if (read.from === read.to) {
    throw new PawlError(
      "invalid_option",
      `${where}: \`from\` and \`to\` are both ${read.from}; for a whole day write "00:00" and "24:00"`,
      { data: { option: `${where}.to` } },
    );
  }
  const { from, to, timeZone: zone, days = null, why = null } = read;
  const holds = membersIn(read.holds, groups, `${where}.holds`);
  const exempt = membersIn(read.exempt, groups, `${where}.exempt`);
  return { name, from, to, timeZone: zone, days, holds, exempt, why };
}

/** The database compares them with what a task is, which is never a group. */
function membersIn(scopes: readonly string[], groups: Groups, option: string): string[] {
  return scopes.flatMap((text) => {
    const found = parseScope(text);
    if (found?.kind !== "group") return text;
    if (Object.hasOwn(groups, found.name)) return scopesIn(text, groups).slice(1);
    throw new PawlError(
      "group_not_found",
      `${option}: no group ${shown(found.name)} in the app; ${didYouMean(found.name, Object.keys(groups))}`,
      { data: { option, value: dataText(found.name) } },
    );
  });
}

/** Not an offset such as "+01:00": it has no summer time. */
function isTimeZone(name: string): boolean {
  if (!/^[A-Za-z]/.test(name)) return false;
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
