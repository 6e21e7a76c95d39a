/** The rule of verbs that change what somebody names, or all that filters find. */

import { PawlError } from "../base/errors.ts";
import type { Calling } from "./verb.ts";

export interface IdsOrAll {
  ids: string[] | undefined;
  all: boolean | undefined;
  /** By their names. */
  filters: Readonly<Record<string, unknown>>;
  /** What ids are called: `ids`, `numbers`. */
  called?: string;
}

/** Returns the ids, or undefined for all: one of the two, and filters only with all. @throws PawlError `invalid_option` */
export function idsOrAll(
  { ids, all = false, filters, called = "ids" }: IdsOrAll,
  { where, label }: Calling,
): string[] | undefined {
  const hasFilter = Object.values(filters).some((value) => value !== undefined);
  if (all && ids === undefined) return undefined;
  if (!all && ids !== undefined && !hasFilter) return ids;
  const fault = all
    ? `got both ${called} and ${label("all")}`
    : hasFilter
      ? `got a filter without ${label("all")}`
      : "got neither";
  const [first, ...others] = Object.keys(filters);
  const named = first !== undefined && others.length === 0 ? label(first) : "filters";
  const help = where.startsWith("pawl ") ? `; see \`${where} --help\`` : "";
  throw new PawlError(
    "invalid_option",
    `${where}: expected ${called}, or ${label("all")} with or without ${named}; ${fault}${help}`,
  );
}
