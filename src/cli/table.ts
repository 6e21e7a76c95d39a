/** Aligned columns and fields as text; cut to the terminal's width only where there is a terminal. */

export interface Column<Row> {
  head: string;
  value: (row: Row) => string | number | null | undefined;
  align?: "left" | "right";
}

const GAP = "  ";

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
  return cells
    .map((line) => line.map((text, at) => padded(text, widths[at] ?? 0, columns[at]?.align)))
    .map((line) => cut(line.join(GAP).trimEnd(), width))
    .join("\n");
}

/** `name   value` lines; those without a value are left out. */
export function fields(
  values: Record<string, string | number | null | undefined>,
  width: number = terminalWidth(),
): string {
  const given = Object.entries(values).filter(([, value]) => value != null && value !== "");
  const widest = Math.max(...given.map(([name]) => length(name)));
  return given
    .map(([name, value]) => cut(`${padded(name, widest)}${GAP}${cell(value)}`, width))
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

/** One line, without anything that moves the cursor or turns the direction of writing. */
function cell(value: string | number | null | undefined): string {
  return value == null ? "-" : String(value).replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ");
}

function padded(text: string, width: number, align: "left" | "right" = "left"): string {
  const space = " ".repeat(Math.max(width - length(text), 0));
  return align === "right" ? space + text : text + space;
}

function cut(text: string, width: number): string {
  if (length(text) <= width) return text;
  return `${Array.from(text)
    .slice(0, width - 1)
    .join("")}…`;
}

function length(text: string): number {
  return Array.from(text).length;
}

function terminalWidth(): number {
  return process.stdout.isTTY ? Math.max(process.stdout.columns, 40) : Number.POSITIVE_INFINITY;
}
