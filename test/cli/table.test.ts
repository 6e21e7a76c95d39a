import { expect, test } from "vitest";
import { fields, sections, table } from "../../src/cli/table.ts";

const columns = [
  { head: "NAME", value: (row: { name: string; count: number | null }) => row.name },
  {
    head: "COUNT",
    value: (row: { name: string; count: number | null }) => row.count,
    align: "right" as const,
  },
];

test("columns are as wide as their widest cell, and what is missing is a dash", () => {
  const rows = [
    { name: "a", count: 10_000_000 },
    { name: "longer", count: null },
  ];
  expect(table(rows, columns)).toBe(
    ["NAME       COUNT", "a       10000000", "longer         -"].join("\n"),
  );
  expect(table([], columns)).toBe("none");
});

test("a line is cut to the width of a terminal, by characters and not by half of them", () => {
  const text = table([{ name: "🦀".repeat(9), count: 1 }], columns, 5);
  expect(text.split("\n")[1]).toBe("🦀🦀🦀🦀…");
  expect(fields({ name: "x".repeat(100) }, 10)).toBe("name  xxx…");
});

test("text from elsewhere cannot break the table or steer the terminal", () => {
  const text = table([{ name: "a\nb\u001b[2Jc\u202ed\u009be", count: 1 }], columns);
  expect(text.split("\n")).toHaveLength(2);
  expect(text).toContain("a b [2Jc d e");
});

test("fields and sections leave out what is not there", () => {
  expect(fields({ id: 1, state: null, queue: "high" })).toBe("id     1\nqueue  high");
  expect(sections({ "": "head", error: undefined, payload: "{\n}" })).toBe(
    "head\n\npayload\n  {\n  }",
  );
});
