import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ERROR_CODES, EXIT } from "../../src/base/error-codes.ts";

interface Row {
  code: string;
  exit: number;
  cells: string[];
}

const doc = readFileSync(join(import.meta.dirname, "../../docs/errors.md"), "utf8");
const rows = readRows(doc);

/** Every line of a table whose first cell is a code. */
function readRows(markdown: string): Row[] {
  return [...markdown.matchAll(/^\| `(\w+)` \|(.*)\|$/gm)].map((match) => {
    const [exit = "", ...cells] = (match[2] ?? "").split(" | ").map((cell) => cell.trim());
    return { code: match[1] ?? "", exit: Number(exit), cells };
  });
}

describe("docs/errors.md", () => {
  test("has each code of the catalogue once, with its exit code, and no other", () => {
    const documented = rows.map(({ code, exit }) => `${code} ${exit}`).sort();
    const known = Object.entries(ERROR_CODES).map(([code, exit]) => `${code} ${exit}`);
    expect(documented).toEqual(known.sort());
  });

  test("says for each code when it is raised and what to do", () => {
    const incomplete = rows.filter(
      ({ cells }) => cells.length !== 2 || cells.some((cell) => cell.length < 10),
    );
    expect(incomplete).toEqual([]);
  });

  test("explains every exit code", () => {
    const explained = [...doc.matchAll(/^\| (\d+) \| \S/gm)].map((match) => Number(match[1]));
    expect(explained).toEqual(Object.values(EXIT));
  });
});

test("every code ends a command with an exit code of the fixed set, never as a success", () => {
  const failures = Object.values(EXIT).filter((exit) => exit !== EXIT.ok);
  const others = Object.entries(ERROR_CODES).filter(([, exit]) => !failures.includes(exit));
  expect(others).toEqual([]);
});
