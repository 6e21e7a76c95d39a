/** Columns of lists of runs: what a process shows there of its runs' inputs, data and meta. */

import { PawlError, shown } from "../base/errors.ts";
import { isRecord } from "../base/options.ts";
import { didYouMean } from "../base/suggest.ts";
import { type Field, field } from "../options/field.ts";

const COLUMNS_MAX = 20;
const NAME = /^[A-Za-z][A-Za-z0-9_-]{0,39}$/;
const SOURCES = new Set(["input", "data", "meta"]);

export interface RunColumn {
  readonly name: string;
  /** `["input", "order"]` */
  readonly path: readonly string[];
}

export const columns: Field<Readonly<Record<string, string>>, readonly RunColumn[]> = field({
  kind: "columns",
  help: "what lists show of its runs",
  shape: "columns",
  expected: `up to ${COLUMNS_MAX} names of 1 to 40 letters, digits, "_" and "-", each with a path such as "input.order", "data.total" or "meta.tenant"`,
  read: (given) => {
    if (!isRecord(given)) return undefined;
    const read = Object.entries(given).map(columnOf);
    return read.length <= COLUMNS_MAX && read.every(isColumn) ? read : undefined;
  },
  hint: (given) => {
    if (!isRecord(given)) return undefined;
    const wrong = Object.entries(given).find((entry) => !isColumn(columnOf(entry)));
    return wrong && `${shown(wrong[0])} with ${shown(wrong[1])} is none of these`;
  },
});

function columnOf([name, path]: [string, unknown]): RunColumn {
  return { name, path: typeof path === "string" ? path.split(".") : [] };
}

function isColumn({ name, path: [source = "", ...path] }: RunColumn): boolean {
  return NAME.test(name) && SOURCES.has(source) && !path.includes("");
}

/** `["order=7"]` as the texts of columns. @throws PawlError `invalid_option` */
export function wantedColumns(
  where: string,
  label: string,
  given: readonly string[],
): Record<string, string> {
  const wanted = new Map<string, string>();
  for (const one of given) {
    const at = one.indexOf("=");
    const name = one.slice(0, Math.max(at, 0));
    if (name === "" || wanted.has(name)) {
      const expected = "column=value, each column once, such as order=7";
      throw new PawlError(
        "invalid_option",
        `${where}: expected ${label} to be ${expected}, got ${shown(one)}`,
        { data: { option: "where" } },
      );
    }
    wanted.set(name, one.slice(at + 1));
  }
  return Object.fromEntries(wanted);
}

/** For a list without a row: no run can ever have it. @throws PawlError `invalid_option` */
export function refuseUnknownColumns(
  where: string,
  wanted: Readonly<Record<string, string>>,
  known: readonly string[],
): void {
  const unknown = Object.keys(wanted).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  const hint = known.length === 0 ? "no process declares `columns`" : didYouMean(unknown, known);
  throw new PawlError(
    "invalid_option",
    `${where}: no process has a column ${shown(unknown)}; ${hint}`,
    { data: { option: "where" } },
  );
}
