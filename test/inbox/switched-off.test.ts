/** A source that is turned off between two steps: each step that begins something asks again. */

import { expect, test } from "vitest";
import { dueSources, markSent, pushCursor, receive, reserveWindow } from "../../src/inbox/sql.ts";
import { defineSource, type Pawl } from "../../src/index.ts";
import { inboxApp } from "../support/inbox-app.ts";

const HOLDER = "a test";
const PAGE = { memo: null, lag: null, nextMs: 0, isAnswer: false } as const;

/** The test holds the source's lease; no worker runs. */
async function held(pawl: Pawl, name: string): Promise<{ name: string; epoch: string }> {
  const [row] = await pawl.store.rows<{ epoch: string }>(
    "select epoch from pawl.take_lease_v1($1, $2, interval '1 hour')",
    [`source:${name}`, HOLDER],
  );
  return { name, epoch: row?.epoch ?? "" };
}

test.each(["source:orders", "all"])(
  "R38 R103a: %s turned off after a window was reserved: no request is sent, and no new window is taken up",
  async (scope) => {
    const orders = defineSource({ name: "orders", gap: 0, fetch: async () => [] });
    const { pawl } = await inboxApp([orders], { work: false });
    const lease = await held(pawl, "orders");
    const reserved = await reserveWindow(pawl.store, lease, HOLDER);
    expect(reserved?.outcome).toBe("reserved");
    const window = reserved?.window_id ?? "";
    await pawl.switches.off(scope);
    expect(await markSent(pawl.store, lease, window, 0)).toBe(false);
    expect(await reserveWindow(pawl.store, lease, HOLDER)).toMatchObject({ outcome: "wait" });
    expect(await dueSources(pawl.store, ["orders"])).toEqual([]);
    await pawl.switches.on(scope);
    expect(await markSent(pawl.store, lease, window, 0)).toBe(true);
  },
);

test.each(["source:stream", "all"])(
  "R45 R103a: %s turned off while a source delivers by itself: it is not to run, and no page of it is taken in",
  async (scope) => {
    const stream = defineSource({ name: "stream", open: async () => undefined });
    const { pawl } = await inboxApp([stream], { work: false });
    const lease = { ...(await held(pawl, "stream")), holder: HOLDER };
    const cursor = await pushCursor(pawl.store, lease);
    expect(cursor).toMatchObject({ room: true });
    const after = cursor?.after ?? "";
    const given = [{ i: "1", n: "test.event", p: {}, m: {} }];
    const page = { ...PAGE, window: null, after, events: JSON.stringify(given), next: "1" };
    await pawl.switches.off(scope);
    expect(await pushCursor(pawl.store, lease)).toBeUndefined();
    expect(await receive(pawl.store, lease, page)).toBeUndefined();
    await pawl.switches.on(scope);
    expect(await receive(pawl.store, lease, page)).toMatchObject({ inserted: 1 });
  },
);
