import { expect, test } from "vitest";
import { nounsOf } from "../../src/app/nouns.ts";
import type { AuditRow } from "../../src/operate/sql.ts";
import { CHANGING, KEPT, staged, verbsOf } from "../support/verb-calls.ts";

test("R116: what a verb does stands in the audit under its noun and its name, whichever it is, and the list finds it by them", async () => {
  const declared = nounsOf()
    .flatMap((noun) => verbsOf(noun))
    .flatMap(([name, one]) => (one.changes ? [name] : []));
  expect(Object.keys(CHANGING).sort()).toEqual(declared.sort());
  const stage = await staged();
  const { audit } = stage.pawl;
  const written: Record<string, string[]> = {};
  for (const [verb, call] of Object.entries(CHANGING)) {
    const [before] = await audit.list({ limit: 1 });
    await call(stage);
    const rows = (await audit.list({ limit: 1_000 })).filter(
      (row) => Number(row.id) > Number(before?.id ?? 0),
    );
    expect.soft(rows[0], verb).toMatchObject(KEPT);
    written[verb] = [...new Set(rows.map((row) => row.action))];
    expect.soft(await ids(audit.list({ action: verb })), verb).toEqual(rows.map((row) => row.id));
  }
  const expected = Object.keys(CHANGING).map((verb) => [verb, [verb]]);
  expect(written).toEqual(Object.fromEntries(expected));
  const ofNoun = await audit.list({ action: "inbox" });
  expect(ofNoun.map((row) => row.action)).toEqual(["inbox.remove", "inbox.retry"]);
  expect(await audit.list({ action: "in" })).toEqual([]);
});

async function ids(rows: Promise<AuditRow[]>): Promise<string[]> {
  return (await rows).map((row) => row.id);
}
