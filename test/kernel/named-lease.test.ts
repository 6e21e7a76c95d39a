import { afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { NamedLease, type NamedLeaseOptions } from "../../src/kernel/named-lease/named-lease.ts";
import type { Store } from "../../src/store/store.ts";
import { movableClock } from "../support/clock.ts";
import { freshStore } from "../support/database.ts";
import { waitForLocks } from "../support/kernel.ts";
import { until } from "../support/until.ts";

let store: Store;
let clock: Awaited<ReturnType<typeof movableClock>>;
const taken: NamedLease[] = [];

beforeAll(async () => {
  store = await freshStore();
  await waitForLocks(store, "take_lease_v1");
  clock = await movableClock(store, { isSlow: true });
});

afterEach(async () => {
  for (const lease of taken.splice(0)) await lease.release();
});

async function take(name: string, owner: string, more: Partial<NamedLeaseOptions> = {}) {
  const lease = await NamedLease.take(store, { name, owner, log: silentLogger, ...more });
  if (lease instanceof NamedLease) taken.push(lease);
  return lease;
}

async function own(name: string, owner: string, more: Partial<NamedLeaseOptions> = {}) {
  const lease = await take(name, owner, more);
  if (!(lease instanceof NamedLease)) throw new Error(`${lease.owner} has it`);
  return lease;
}

describe("a named lease", () => {
  test("has one owner at a time, and says who it is", async () => {
    await own("source:a", "one");
    expect(await take("source:a", "two")).toMatchObject({ owner: "one" });
    await own("source:b", "two");
  });

  test("of ten who want it at once, one gets it", async () => {
    const all = await Promise.all(
      Array.from({ length: 10 }, (_, i) => take("source:wanted", `worker ${i}`)),
    );
    expect(all.filter((one) => one instanceof NamedLease)).toHaveLength(1);
  });

  test("that was released is free at once, and the next owner has a higher epoch", async () => {
    const first = await own("source:c", "one");
    expect(await first.release()).toBe(true);
    expect(first.signal.aborted).toBe(true);
    const second = await own("source:c", "two");
    expect(BigInt(second.epoch)).toBeGreaterThan(BigInt(first.epoch));
    expect(await first.release()).toBe(false);
    expect(await take("source:c", "three")).toMatchObject({ owner: "two" });
  });

  test("an owner that slept through its lease is refused everywhere, and told", async () => {
    const sleeper = await own("source:d", "sleeper");
    await clock.advance(11_000);
    const next = await own("source:d", "next");
    await expect(sleeper.hold(store)).rejects.toMatchObject({
      code: "named_lease_lost",
      message: expect.stringContaining("next has it"),
    });
    await expect(sleeper.reserveSlot(10)).rejects.toMatchObject({ code: "named_lease_lost" });
    expect(sleeper.signal.aborted).toBe(true);
    expect(await sleeper.release()).toBe(false);
    await next.hold(store);
  });

  test("renews itself, so that a long owner keeps it", async () => {
    const lease = await own("source:e", "one", { lengthMs: 3_000 });
    for (let times = 0; times < 2; times += 1) {
      const before = await renewedAt("source:e");
      await clock.advance(2_500); // not the whole of its length
      await until("it is renewed", async () => (await renewedAt("source:e")) >= before + 2_500);
    }
    expect(lease.signal.aborted).toBe(false);
    expect(await take("source:e", "two")).toMatchObject({ owner: "one" });
  });

  test("an owner whose renewals do not get through knows by its own clock when it may not act any more", async () => {
    let cut = 0;
    const rows: typeof store.rows = (text, values) => {
      if (!text.includes("renew_lease_v1")) return store.rows(text, values);
      cut += 1;
      return Promise.reject(new Error("cut"));
    };
    let ownMs = 0; // a machine may stand still longer than the lease holds
    const steady = vi.spyOn(performance, "now").mockImplementation(() => ownMs);
    onTestFinished(() => steady.mockRestore());
    const options = { name: "source:cut", owner: "one", lengthMs: 2_000, log: silentLogger };
    const lease = await NamedLease.take({ rows }, options);
    if (!(lease instanceof NamedLease)) throw new Error(`${lease.owner} has it`);
    taken.push(lease);
    await until("two renewals were cut", () => cut >= 2);
    ownMs += 1_999;
    lease.requireLive();
    ownMs += 1;
    expect(() => lease.requireLive()).toThrow(
      expect.objectContaining({
        code: "named_lease_lost",
        message: expect.stringContaining("not renewed for 2000 ms, it holds for 2000 ms"),
      }),
    );
    expect(lease.signal.aborted).toBe(false);
  });

  test("a transaction that holds it keeps the next owner out until it ends", async () => {
    const lease = await own("source:f", "one");
    await store.transaction(async (tx) => {
      const executor = {
        rows: async <Row>(text: string, values: readonly unknown[] = []) =>
          (await tx.query<Row>(text, [...values])).rows,
      };
      await lease.hold(executor);
      await clock.advance(11_000);
      let isTaken = false;
      const taking = own("source:f", "two").then(() => {
        isTaken = true;
      });
      await until("the next owner waits for the row", () => isWaiting());
      expect(isTaken).toBe(false);
      void taking.catch(() => undefined);
    });
    await until("the next owner has it", async () => (await holderOf("source:f")) === "two");
  });

  test("slots are spaced exactly over all owners", async () => {
    const waits: number[] = [];
    for (const owner of ["one", "two", "three"]) {
      const lease = await own("source:g", owner);
      for (let i = 0; i < 5; i++) waits.push(await lease.reserveSlot(60_000));
      await lease.release();
    }
    const steps = waits.slice(1).map((wait, i) => Math.round(wait - (waits[i] ?? 0)));
    expect(waits[0]).toBe(0);
    for (const step of steps) {
      expect(step).toBeGreaterThan(55_000); // the rest of the minute has passed meanwhile
      expect(step).toBeLessThanOrEqual(60_000);
    }
  });

  test("a bad name or length is refused", async () => {
    await expect(take("", "one")).rejects.toMatchObject({ code: "invalid_option" });
    await expect(take("source:h", "one", { lengthMs: 0 })).rejects.toMatchObject({
      code: "invalid_option",
    });
  });
});

async function renewedAt(name: string): Promise<number> {
  const [row] = await store.rows<{ at: string }>(
    "select extract(epoch from heartbeat_at) * 1000 as at from pawl.lease where name = $1",
    [name],
  );
  return Number(row?.at);
}

async function holderOf(name: string): Promise<string | undefined> {
  const [row] = await store.rows<{ owner: string }>(
    "select owner from pawl.lease where name = $1",
    [name],
  );
  return row?.owner;
}

async function isWaiting(): Promise<boolean> {
  const rows = await store.rows(
    "select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like '%take_lease_v1%' and datname = current_database()",
  );
  return rows.length > 0;
}
