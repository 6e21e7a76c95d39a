/** What a key means beside "one may live": unique for a time, or the last one counts. */

import { DURATION_MS_MAX, type Duration } from "../base/duration.ts";
import { PawlError } from "../base/errors.ts";
import { type Field, mapped, type ValueOf, wrong } from "../options/field.ts";
import { duration, flag } from "../options/kinds.ts";
import { group } from "../options/parts.ts";

export type Unique = UniqueFor | UniqueReplace | UniqueDebounce;

/** Also for a time after the task was enqueued, if it was done: another one is a `duplicate`. */
export interface UniqueFor {
  for: Duration;
  replace?: never;
  debounce?: never;
  max?: never;
}

/** A newer one replaces the one that waits: `replaced`. */
export interface UniqueReplace {
  replace: true;
  for?: never;
  debounce?: never;
  max?: never;
}

/** The same, and the task starts when no other one has come for this time: `debounced`. */
export interface UniqueDebounce {
  debounce: Duration;
  /** The longest wait of the first one; default: no limit. */
  max?: Duration;
  for?: never;
  replace?: never;
}

/** As SQL takes it. */
export type UniqueRow =
  | { for_ms: number }
  | { replace: true }
  | { debounce_ms: number; debounce_max_ms?: number };

const SHAPE = 'one of { for: "10m" }, { replace: true } and { debounce: "5s", max: "1m" }';

const span = (help: string) => duration({ help, minMs: 1, maxMs: DURATION_MS_MAX });
const FIELDS = {
  for: span("unique for this time after it was enqueued"),
  replace: flag("a newer one replaces the one that waits"),
  debounce: span("starts when no other one has come for this time"),
  max: span("the longest wait of the first one"),
};

export const unique: Field<Unique, UniqueRow> = mapped(
  group("what its key means beside that one may live", FIELDS) as Field<
    Unique,
    ValueOf<typeof FIELDS>
  >,
  (read, place) => {
    const { for: forMs, replace, debounce, max } = read;
    const modes = [forMs, replace, debounce].filter((one) => one !== undefined);
    const isLonely = max !== undefined && debounce === undefined;
    if (modes.length !== 1 || replace === false || isLonely) throw wrong(place, SHAPE, read);
    if (forMs !== undefined) return { for_ms: forMs };
    if (debounce === undefined) return { replace: true };
    if (max !== undefined && max < debounce)
      throw wrong(place, "`max` at least as long as `debounce`", read);
    return { debounce_ms: debounce, ...(max !== undefined && { debounce_max_ms: max }) };
  },
);

export function uniqueWithoutKey(where: string): PawlError {
  return new PawlError(
    "invalid_option",
    `${where}: \`unique\` is given without a key; give \`key\` too`,
    { data: { option: "unique" } },
  );
}
