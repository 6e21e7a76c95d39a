import { describe, expect, test } from "vitest";
import { EventCache } from "../../src/outbox/event-cache.ts";
import type { Executor } from "../../src/store/executor.ts";
import { freshStore } from "../support/database.ts";

async function recorded(store: Executor, count: number, chars: number): Promise<string[]> {
  const rows = await store.rows<{ id: string }>(
    `insert into pawl.event (name, aggregate_type, aggregate_id, payload)
     select 'large', 'file', g::text, to_jsonb(repeat('x', $2)) from generate_series(1, $1::int) g returning id`,
    [count, chars],
  );
  return rows.map((row) => row.id);
}

/** Counts the statements that go through it. */
function counting(store: Executor): Executor & { statements: number } {
  const counted = {
    statements: 0,
    rows: <Row>(text: string, values?: readonly unknown[]): Promise<Row[]> => {
      counted.statements += 1;
      return store.rows<Row>(text, values);
    },
  };
  return counted;
}

describe("the events that deliveries read", () => {
  test("large events are not all kept: what is kept stays below its bound in bytes", async () => {
    const store = await freshStore();
    const bytesMax = 4_000_000;
    const cache = new EventCache(store, bytesMax);
    const ids = await recorded(store, 40, 500_000);
    for (const id of ids) {
      expect((await cache.get(id))?.payload).toHaveLength(500_000);
      expect(cache.keptBytes).toBeLessThanOrEqual(bytesMax);
    }
    expect(cache.keptBytes).toBeGreaterThan(bytesMax / 2);
  });

  test("an event larger than the bound is delivered all the same, and not kept", async () => {
    const store = await freshStore();
    const cache = new EventCache(store, 1_000);
    const [id = ""] = await recorded(store, 1, 5_000);
    const [first, second] = await Promise.all([cache.get(id), cache.get(id)]);
    expect(first?.payload).toHaveLength(5_000);
    expect(second).toBe(first);
    expect(cache.keptBytes).toBe(0);
  });

  test("R80: a thousand deliveries of one event read it once, and many events go in few statements", async () => {
    const store = counting(await freshStore());
    const [id = "", ...others] = await recorded(store, 300, 10);
    store.statements = 0;
    const cache = new EventCache(store);
    await Promise.all(Array.from({ length: 1_000 }, () => cache.get(id)));
    expect(store.statements).toBe(1);
    await Promise.all(others.map((one) => cache.get(one)));
    expect(store.statements).toBeLessThanOrEqual(1 + 3);
    await cache.get(id);
    expect(store.statements).toBeLessThanOrEqual(1 + 3);
  });

  test("an event that is not there, and a read that failed, are asked for again", async () => {
    const store = await freshStore();
    const cache = new EventCache(store);
    const [id = ""] = await recorded(store, 1, 10);
    await expect(cache.get("no uuid")).rejects.toThrow();
    expect(await cache.get("019a0b6e-2f31-7c55-9d0a-3f1b8e6a4c21")).toBeUndefined();
    expect(cache.keptBytes).toBe(0);
    expect((await cache.get(id))?.id).toBe(id);
  });
});
