/** Aligned columns and fields as text; where there is a terminal, what is wider goes on below in its own column. */

import { maskText } from "../base/mask.ts";

export interface Column<Row> {
  head: string;
  value: (row: Row) => string | number | null | undefined;
  align?: "left" | "right";
}

const GAP = "  ";
/** A last column narrower than this is not wrapped. */
const WIDTH_MIN = 20;

/** A head line and one line a row; `none` where there is no row. */
export function table<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  width: number = terminalWidth(),
): string {
  if (rows.length === 0) return "none";
  const cells = [
    columns.map((column) => column.head),
    ...rows.map((row) => columns.map((column) => cell(column.value(row)))),
  ];
  const widths = columns.map((_, at) => Math.max(...cells.map((line) => length(line[at] ?? ""))));
  const before = widths.slice(0, -1).reduce((sum, one) => sum + one + GAP.length, 0);
  return cells
    .flatMap((line) => {
      const head = line
        .slice(0, -1)
        .map((text, at) => padded(text, widths[at] ?? 0, columns[at]?.align));
      const last = columns.length - 1;
      const text = line[last] ?? "";
      const align = columns[last]?.align;
      const ending =
        align === "right"
          ? [padded(text, widths[last] ?? 0, align)]
          : wrapped(text, width - before);
      return beside(head, ending, before);
    })
    .join("\n");
}

/** `name   value` lines; those without a value are left out. `isToUse`: as of an answer. */
export function fields(
  values: Record<string, string | number | null | undefined>,
  width: number = terminalWidth(),
  isToUse = false,
): string {
  const given = Object.entries(values).filter(([, value]) => value != null && value !== "");
  const widest = Math.max(...given.map(([name]) => length(name)));
  const before = widest + GAP.length;
  return given
    .flatMap(([name, value]) =>
      beside([padded(name, widest)], wrapped(cell(value, isToUse), width - before), before),
    )
    .join("\n");
}

/** Several parts, each under its head; those without a text are left out. */
export function sections(parts: Record<string, string | undefined>): string {
  return Object.entries(parts)
    .filter(([, text]) => text !== undefined && text !== "")
    .map(([head, text]) => (head === "" ? text : `${head}\n${indented(text ?? "")}`))
    .join("\n\n");
}

export function iso(date: Date | null): string | null {
  return date === null ? null : date.toISOString();
}

function indented(text: string): string {
  return text.replaceAll(/^/gm, GAP);
}

/**
 * One line, without anything that moves the cursor or turns the direction of writing. Masked here, since a URL that goes
 * on in the next line is none any more.
 */
function cell(value: string | number | null | undefined, isToUse = false): string {
  if (value == null) return "-";
  const text = isToUse ? String(value) : maskText(String(value));
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ");
}

function padded(text: string, width: number, align: "left" | "right" = "left"): string {
  const space = " ".repeat(Math.max(width - length(text), 0));
  return align === "right" ? space + text : text + space;
}

/** The first line behind the other columns, the others below it. */
function beside(
  head: readonly string[],
  [first = "", ...rest]: readonly string[],
  before: number,
): string[] {
  const indent = " ".repeat(before);
  return [[...head, first].join(GAP).trimEnd(), ...rest.map((line) => indent + line)];
}

/** In lines of `width` characters, at spaces where there are any; narrow places are left to the terminal. */
function wrapped(text: string, width: number): string[] {
  if (length(text) <= width || width < WIDTH_MIN) return [text];
  const lines: string[] = [];
  let rest = Array.from(text);
  while (rest.length > width) {
    const space = rest.lastIndexOf(" ", width);
    const end = space > 0 ? space : width;
    lines.push(rest.slice(0, end).join(""));
    rest = rest.slice(space > 0 ? end + 1 : end);
  }
  return [...lines, rest.join("")];
}

function length(text: string): number {
  return Array.from(text).length;
}

function terminalWidth(): number {
  return process.stdout.isTTY ? Math.max(process.stdout.columns, 40) : Number.POSITIVE_INFINITY;
}
