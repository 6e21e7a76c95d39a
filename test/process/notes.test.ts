import { expect, test } from "vitest";
import { Notes } from "../../src/process/run/notes.ts";

const linesOf = (notes: Notes) => JSON.parse(notes.linesJson ?? "[]");

test("what a step says beyond its 100 lines is not dropped in silence: one last line says how much it was", () => {
  const notes = new Notes(1_000, []);
  for (let i = 1; i <= 100; i += 1) notes.note("info", `line ${i}`);
  expect(linesOf(notes)).toHaveLength(100);
  for (let i = 1; i <= 3; i += 1) notes.note("info", "too many");
  expect(linesOf(notes)).toHaveLength(101);
  expect(linesOf(notes).at(-1)).toEqual({
    level: "info",
    text: "3 more lines were dropped: a step keeps 100",
  });
  notes.note("warning", "too late"); // lists count it, as they count warnings that were kept
  expect(linesOf(notes).at(-1)).toMatchObject({
    level: "warning",
    text: expect.stringMatching(/^4 more/),
  });
});

test("nor is what it has sent beyond 100", () => {
  const notes = new Notes(1_000, []);
  for (let i = 1; i <= 102; i += 1) notes.sent("create", { i });
  expect(JSON.parse(notes.sentJson ?? "[]")).toHaveLength(100);
  expect(linesOf(notes)).toEqual([
    { level: "info", text: "2 more of what was sent were dropped: a step keeps 100" },
  ]);
});
