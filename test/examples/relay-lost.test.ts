/** What the relay calls lost and out of order: from the business rows and the receiver's logs, never from Pawl. */

import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { Receipts } from "../../examples/relay/receipts.ts";
import {
  insertAlarm,
  insertEvent,
  noteEventId,
  openBusiness,
  writeSummary,
} from "../../examples/relay/tables.ts";
import { isGood, standing, totals, type Witnesses } from "../../examples/relay/totals.ts";
import { explainStuck } from "../../examples/relay/watch.ts";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineSource } from "../../src/index.ts";
import { freshDatabase } from "../support/database.ts";

const ids = Array.from({ length: 4 }, (_, n) => `00000000-0000-7000-8000-00000000000${n}`);
const [arrived = "", twice = "", unverified = "", withoutSummary = ""] = ids;

let folder = "";
let witnesses: Witnesses;

const closing: Array<() => Promise<void>> = [];

beforeAll(async () => {
  const { url } = await freshDatabase();
  const source = defineSource({ name: "github", fetch: async () => [] });
  const pawl = await connect(defineApp({ sources: [source] }), {
    databaseUrl: url,
    log: silentLogger,
  });
  closing.push(() => pawl.close());
  const business = await openBusiness(url);
  closing.push(() => business.end());
  witnesses = { pawl, business, receipts: new Receipts(folder) };
});
afterAll(async () => {
  for (const close of closing.reverse()) await close();
});
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "pawl-receipts-"));
  witnesses = { ...witnesses, receipts: new Receipts(folder) };
});
afterEach(() => rmSync(folder, { recursive: true }));

interface Received {
  path?: string;
  verified?: boolean;
}

function receive(file: string, eventId: string | null, more: Received = {}): void {
  const receipt = { path: "/hub", eventId, verified: true, ...more };
  appendFileSync(join(folder, file), `${JSON.stringify(receipt)}\n`);
}

function receiveAtLedger(file: string, ...eventIds: string[]): void {
  for (const eventId of eventIds) receive(file, eventId, { path: "/ledger" });
}

test("an event without a verified receipt at the hub or the ledger, or without its summary, is lost", async () => {
  const { business } = witnesses;
  for (const [index, eventId] of ids.entries()) {
    const event = { id: index + 1, name: "push", aggregate: "repository a/b", payload: {} };
    expect(await insertEvent(business, event)).toBe(true);
    await noteEventId(business, index + 1, eventId);
    if (eventId !== withoutSummary) await writeSummary(business, eventId, "somebody: push");
  }
  for (const eventId of [arrived, twice, withoutSummary]) receive("a.ndjson", eventId);
  receive("b.ndjson", twice);
  receive("b.ndjson", unverified, { verified: false });
  receive("b.ndjson", "00000000-0000-7000-8000-0000000000ff"); // of another database
  receiveAtLedger("a.ndjson", twice, unverified, withoutSummary);
  const all = await totals(witnesses);
  expect(all).toMatchObject({ events: 4, verified: 3, ledger: 3, jobs: 3, duplicates: 1 });
  expect(all).toMatchObject({ badSignatures: 1, inversions: 0, lost: 3 });
  expect(all.missing.map((row) => row.event_id)).toEqual([arrived, unverified, withoutSummary]);
  expect(isGood(all)).toBe(false);
});

test("an event whose first receipt at the ledger comes before that of an older one of its aggregate is an inversion", async () => {
  for (const id of ids) receive("a.ndjson", id);
  receive("a.ndjson", arrived); // the order at the hub counts for nothing
  // the older file is read on after the newer one
  receiveAtLedger("b.ndjson", twice, arrived, withoutSummary, unverified);
  expect(await totals(witnesses)).toMatchObject({ lost: 1, inversions: 2 });
  receiveAtLedger("a.ndjson", arrived);
  const all = await totals(witnesses);
  expect(all).toMatchObject({ lost: 1, inversions: 1, duplicates: 2 });
  expect(isGood({ ...all, lost: 0 })).toBe(false);
});

test("events of different aggregates may arrive in any order", async () => {
  const { business } = witnesses;
  receiveAtLedger("a.ndjson", ...ids);
  expect(await totals(witnesses)).toMatchObject({ ledger: 4, inversions: 0 });
  const other = "00000000-0000-7000-8000-000000000009";
  await insertEvent(business, { id: 9, name: "ping", aggregate: "repository c/d", payload: {} });
  await noteEventId(business, 9, other);
  receiveAtLedger("0.ndjson", other);
  expect(await totals(witnesses)).toMatchObject({ ledger: 5, inversions: 0 });
});

test("a dead delivery has its row once, and an event for the broken destination without one is not good", async () => {
  const { business } = witnesses;
  const clean = { lost: 0, dead: 0, inversions: 0, loaded: 5, stored: 5 };
  const before = await totals(witnesses);
  expect(before).toMatchObject({ pings: 1, alarms: 0 });
  expect(isGood({ ...before, ...clean })).toBe(false);
  const dead = { deliveryId: "7", destination: "broken", eventId: twice };
  await insertAlarm(business, arrived, dead);
  await expect(insertAlarm(business, arrived, dead)).rejects.toThrow("duplicate key");
  const after = await totals(witnesses);
  expect(after).toMatchObject({ pings: 1, alarms: 1 });
  expect(isGood({ ...after, ...clean })).toBe(true);
  expect(isGood({ ...after, ...clean, stored: 4 })).toBe(false);
  expect(isGood({ ...after, ...clean, loaded: 6, stored: 6 })).toBe(false);
});

test("a source that stands still is told, with what to do", async () => {
  const { pawl } = witnesses;
  expect(await totals(witnesses)).toMatchObject({ loaded: 0, stored: 0, trouble: null });
  await pawl.sources.pause("github", { why: "the feed moves house" });
  const all = await totals(witnesses);
  const line =
    /^ *source github: paused since .* \(the feed moves house\); `pawl sources resume github`/m;
  expect(all.trouble).toMatch(line);
  expect(await explainStuck(witnesses, all)).toMatch(line);
  await pawl.sources.resume("github");
  expect(await standing(witnesses)).toMatchObject({ trouble: null });
});

test("an event that is there already is not inserted again", async () => {
  const { business } = witnesses;
  const event = { id: 4, name: "push", aggregate: "repository a/b", payload: {} };
  expect(await insertEvent(business, event)).toBe(false);
});

test("a receipt that was torn by a kill does not count until its line is whole", async () => {
  const { receipts } = witnesses;
  const { hub } = receipts;
  receive("a.ndjson", arrived);
  const line = JSON.stringify({ path: "/hub", eventId: twice, verified: true });
  appendFileSync(join(folder, "a.ndjson"), line.slice(0, 20));
  await receipts.refresh();
  expect([hub.count(arrived), hub.size]).toEqual([1, 1]);
  appendFileSync(join(folder, "a.ndjson"), `${line.slice(20)}\n`);
  await receipts.refresh();
  expect([hub.count(arrived), hub.count(twice), hub.size]).toEqual([1, 1, 2]);
});

test("a second relay on the same database is refused while the first one runs", async () => {
  await expect(openBusiness(witnesses.pawl.store.url)).rejects.toThrow("another relay runs");
});
