import { expect, onTestFinished, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, flow, type Pawl } from "../../src/index.ts";
import type { AuditRow } from "../../src/operate/sql.ts";
import { freshDatabase } from "../support/database.ts";
import { KEPT } from "../support/verb-calls.ts";

const EVENT = { aggregate: ["order", 1], payload: {} } as const;

async function shop(deliver: (pawl: Pawl) => Promise<void> = async () => undefined): Promise<Pawl> {
  const { url } = await freshDatabase();
  const destinations = { own: flow(() => deliver(pawl)) };
  const app = defineApp({ name: "shop", destinations });
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  onTestFinished(() => pawl.close());
  return pawl;
}

test("R116: an event recorded by hand and its row in the audit are one transaction", async () => {
  const pawl = await shop();
  const { id } = await pawl.events.record("order.placed", EVENT, KEPT);
  const rows = await pawl.store.rows(
    `select a.by, a.why, a.action, a.target, a.xmin = e.xmin as "isOne" from pawl.audit a, pawl.event e`,
  );
  const act = { ...KEPT, action: "events.record", target: `event:${id}` };
  expect(rows).toEqual([{ ...act, isOne: true }]);
});

test("R116: an event that the app records is not in the audit", async () => {
  const pawl = await shop();
  await pawl.record("order.placed", EVENT);
  expect(await pawl.audit.list()).toEqual([]);
});

test("R116: the test of a destination is in the audit before anything is sent, with the id that the receiver sees", async () => {
  let seen: AuditRow[] = [];
  const pawl = await shop(async (client) => {
    seen = await client.audit.list();
  });
  const { event } = await pawl.destinations.test("own", { event: { name: "a.b" }, ...KEPT });
  const act = { ...KEPT, action: "destinations.test", target: "destination:own" };
  expect(seen).toMatchObject([{ ...act, detail: { event } }]);
  await expect(pawl.destinations.test("own", { event: "nonsense" })).rejects.toThrow("not there");
  expect(await pawl.audit.list()).toHaveLength(1);
});
