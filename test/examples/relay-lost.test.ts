/** What the relay calls lost: from the business rows and the receiver's logs, never from Pawl. */

import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Receipts } from "../../examples/relay/receipts.ts";
import {
  insertEvent,
  movePosition,
  noteEventId,
  openBusiness,
  readPosition,
  writeSummary,
} from "../../examples/relay/tables.ts";
import { totals, type Witnesses } from "../../examples/relay/totals.ts";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp } from "../../src/index.ts";
import { freshDatabase } from "../support/database.ts";

const ids = Array.from({ length: 4 }, (_, n) => `00000000-0000-7000-8000-00000000000${n}`);
const [arrived = "", twice = "", unverified = "", withoutSummary = ""] = ids;

let folder = "";
let witnesses: Witnesses;

beforeAll(async () => {
  const { url } = await freshDatabase();
  const pawl = await connect(defineApp({}), { databaseUrl: url, log: silentLogger });
  const business = await openBusiness(url);
  folder = mkdtempSync(join(tmpdir(), "pawl-receipts-"));
  witnesses = { pawl, business, receipts: new Receipts(folder) };
  afterAll(async () => {
    await business.end();
    await pawl.close();
    rmSync(folder, { recursive: true });
  });
});
beforeEach(async () => {
  rmSync(folder, { recursive: true });
  folder = mkdtempSync(join(tmpdir(), "pawl-receipts-"));
  witnesses = { ...witnesses, receipts: new Receipts(folder) };
});

function receive(file: string, eventId: string | null, verified = true): void {
  appendFileSync(join(folder, file), `${JSON.stringify({ eventId, verified })}\n`);
}

test("an event without a verified receipt, or without its summary, is lost", async () => {
  const { business } = witnesses;
  for (const [index, eventId] of ids.entries()) {
    expect(await insertEvent(business, { id: index + 1, name: "push", payload: {} })).toBe(true);
    await noteEventId(business, index + 1, eventId);
    if (eventId !== withoutSummary) await writeSummary(business, eventId, "somebody: push");
  }
  for (const eventId of [arrived, twice, withoutSummary]) receive("a.ndjson", eventId);
  receive("b.ndjson", twice);
  receive("b.ndjson", unverified, false);
  receive("b.ndjson", "00000000-0000-7000-8000-0000000000ff"); // of another database
  const all = await totals(witnesses);
  expect(all).toMatchObject({ events: 4, verified: 3, jobs: 3, duplicates: 1, badSignatures: 1 });
  expect(all.lost).toBe(2);
  expect(all.missing.map((row) => row.event_id)).toEqual([unverified, withoutSummary]);
});

test("an event that is there already is not inserted again, and the position never goes back", async () => {
  const { business } = witnesses;
  await movePosition(business, 4);
  await movePosition(business, 2);
  expect(await readPosition(business)).toBe(4);
  expect(await insertEvent(business, { id: 4, name: "push", payload: {} })).toBe(false);
});

test("a receipt that was torn by a kill does not count until its line is whole", async () => {
  const { receipts } = witnesses;
  receive("a.ndjson", arrived);
  const line = JSON.stringify({ eventId: twice, verified: true });
  appendFileSync(join(folder, "a.ndjson"), line.slice(0, 20));
  await receipts.refresh();
  expect([receipts.count(arrived), receipts.size]).toEqual([1, 1]);
  appendFileSync(join(folder, "a.ndjson"), `${line.slice(20)}\n`);
  await receipts.refresh();
  expect([receipts.count(arrived), receipts.count(twice), receipts.size]).toEqual([1, 1, 2]);
});

test("a second relay on the same database is refused while the first one runs", async () => {
  await expect(openBusiness(witnesses.pawl.store.url)).rejects.toThrow("another relay runs");
});
