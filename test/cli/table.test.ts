import { expect, test } from "vitest";
import { fields, sections, table } from "../../src/operate/table.ts";

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

test("what is wider than the terminal goes on below in its column, and nothing of it is cut", () => {
  const rows = [{ id: 7, error: `connect ECONNREFUSED ${"🦀".repeat(25)} and the end` }];
  const text = table(
    rows,
    [
      { head: "ID", value: (row) => row.id, align: "right" },
      { head: "ERROR", value: (row) => row.error },
    ],
    24,
  );
  expect(text.split("\n")).toEqual([
    "ID  ERROR",
    " 7  connect ECONNREFUSED",
    `    ${"🦀".repeat(20)}`,
    `    ${"🦀".repeat(5)} and the end`,
  ]);
  expect(fields({ name: `${"x".repeat(30)} y`, id: 1 }, 26)).toBe(
    [`name  ${"x".repeat(20)}`, `      ${"x".repeat(10)} y`, "id    1"].join("\n"),
  );
  expect(fields({ name: "x".repeat(100) }, 10)).toBe(`name  ${"x".repeat(100)}`);
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
