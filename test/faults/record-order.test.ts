import { describe, expect, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { connect, type DestinationDefinition, defineApp, on, type Pawl } from "../../src/index.ts";
import { atEnd } from "../support/at-end.ts";
import { freshDatabase, rawClient } from "../support/database.ts";
import { until } from "../support/until.ts";

/** Says what it was given, in order; the first event fails once and then while it is told to, so that whatever may overtake it does. */
function ledger(
  order: "aggregate" | "none",
  delivered: string[],
  isHeld: () => boolean,
): DestinationDefinition {
  return {
    type: "ledger",
    config: {},
    order,
    retry: { attempts: 10_000, delays: ["100ms"], jitter: 0 },
    timeoutMs: 5_000,
    deliver: async ({ attempt, event }) => {
      if (event.name === "changed.first" && (attempt === 1 || isHeld())) throw new Error("not yet");
      delivered.push(event.name);
      return {};
    },
  };
}

async function twoWriters(order: "aggregate" | "none" = "aggregate") {
  const { url } = await freshDatabase();
  const delivered: string[] = [];
  const first = { isHeld: false };
  const app = defineApp({
    destinations: { ledger: ledger(order, delivered, () => first.isHeld) },
    routes: [on("changed.*").to("ledger")],
  });
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  atEnd(() => pawl.close());
  await pawl.store.rows("create table other (n int)");
  const a = await rawClient(url);
  const b = await rawClient(url);
  return { pawl, a, b, delivered, first };
}

const X = { aggregate: ["order", "x"], payload: {} } as const;

async function xids(pawl: Pawl): Promise<{ name: string; xid: number }[]> {
  return pawl.store.rows("select name, xmin::text::int as xid from pawl.event order by number");
}

async function allDelivered(delivered: readonly string[]): Promise<readonly string[]> {
  await until("both are delivered", () => delivered.length === 2);
  return delivered;
}

describe("two transactions about one aggregate, whose ids and snapshots disagree with the order of recording", () => {
  test.each(["before", "after"])(
    "the one with the older id records later; workers started %s: deliveries come in the order of recording",
    async (when) => {
      const { pawl, a, b, delivered } = await twoWriters();
      if (when === "before") await pawl.work();
      await b.query("begin");
      await b.query("insert into other values (1)"); // its transaction id is the older one from here
      await a.query("begin");
      await pawl.record("changed.first", X, { tx: a });
      await a.query("commit");
      await pawl.record("changed.second", X, { tx: b });
      await b.query("commit");
      const [first, second] = await xids(pawl);
      if (when === "after") await pawl.work();
      expect(await allDelivered(delivered)).toEqual(["changed.first", "changed.second"]);
      expect(first?.name).toBe("changed.first");
      if (when === "after") expect(second?.xid).toBeLessThan(first?.xid ?? 0);
    },
  );

  test("the one that recorded first commits last: once both are committed, deliveries come in the order of recording", async () => {
    const { pawl, a, b, delivered } = await twoWriters();
    await b.query("begin");
    await b.query("insert into other values (1)");
    await a.query("begin");
    await pawl.record("changed.first", X, { tx: a });
    await pawl.record("changed.second", X, { tx: b });
    await b.query("commit");
    await a.query("commit");
    await pawl.work();
    expect(await allDelivered(delivered)).toEqual(["changed.first", "changed.second"]);
  });

  test("the older snapshot commits while the first delivery is being retried: it waits behind it", async () => {
    const { pawl, a, b, delivered, first } = await twoWriters();
    first.isHeld = true;
    await pawl.work();
    await b.query("begin isolation level repeatable read");
    await b.query("insert into other values (1)"); // sees nothing of what comes now
    await a.query("begin");
    const { id } = await pawl.record("changed.first", X, { tx: a });
    await a.query("commit");
    await until("the first delivery has failed once", async () => {
      const event = await pawl.event(id);
      return event?.status === "failed";
    });
    await pawl.record("changed.second", X, { tx: b });
    await b.query("commit");
    first.isHeld = false;
    expect(await allDelivered(delivered)).toEqual(["changed.first", "changed.second"]);
  });

  test("a destination that asks for no order goes on past a failed delivery", async () => {
    const { pawl, delivered, first } = await twoWriters("none");
    first.isHeld = true;
    await pawl.record("changed.first", X);
    await pawl.record("changed.second", X);
    await pawl.work();
    await until("the second one is delivered", () => delivered.length === 1);
    first.isHeld = false;
    expect(await allDelivered(delivered)).toEqual(["changed.second", "changed.first"]);
  });
});
