import { describe, expect, test } from "vitest";
import { defineDestinationType, nullDestination, on, type Pawl } from "../../src/index.ts";
import { deferred } from "../sender/local-servers.ts";
import { routeOnce } from "../support/delivery-catalogue.ts";
import { until } from "../support/until.ts";
import { collecting, orders, pawlOf, pawlWith } from "./replay-support.ts";

const WIDTH = 1_000;

/** Destinations of an operator, each with a route for `wide.*`. */
async function widen(pawl: Pawl, type = "null"): Promise<void> {
  await pawl.store.rows(
    `select pawl.put_destination_v1(jsonb_build_object('name', 'wide-' || g, 'type', $2::text, 'config', '{}'::jsonb,
              'queue', '{}'::jsonb), true, null, 'test', null)
       from generate_series(1, $1::int) g`,
    [WIDTH, type],
  );
  await pawl.store.rows(
    `select pawl.put_route_v1(null, jsonb_build_object('pattern', 'wide.*', 'destination', 'wide-' || g), 'test', null)
       from generate_series(1, $1::int) g`,
    [WIDTH],
  );
}

async function recordWide(pawl: Pawl, count: number): Promise<string[]> {
  const rows = await pawl.store.rows<{ id: string }>(
    `insert into pawl.event (name, aggregate_type, aggregate_id, payload)
     select 'wide.load', 'load', g::text, '{}' from generate_series(1, $1::int) g returning id`,
    [count],
  );
  return rows.map((row) => row.id);
}

async function counts(pawl: Pawl, id: string): Promise<{ deliveries: number; open: number }> {
  const [row] = await pawl.store.rows<{ deliveries: number; open: number }>(
    `select count(v.task_id)::int as deliveries, count(t.id)::int as open
       from pawl.delivery v left join pawl.task t on t.id = v.task_id where v.event_id = $1`,
    [id],
  );
  return row ?? { deliveries: -1, open: -1 };
}

/** A type whose deliveries end when they are released. */
function holding() {
  const { promise: released, resolve: release } = deferred<void>();
  let count = 0;
  const type = defineDestinationType({
    type: "holding",
    label: "Holding",
    fields: {},
    define: () => ({
      type: "holding",
      config: {},
      timeoutMs: 600_000,
      deliver: async () => {
        count += 1;
        await released;
        return {};
      },
    }),
  });
  return {
    type,
    release: () => release(),
    get count() {
      return count;
    },
  };
}

describe("one event to a thousand destinations", () => {
  test("R80, R81: is stored once, delivered to each, and an ordinary event beside it does not wait for them", async () => {
    const erp = collecting();
    const held = holding();
    const pawl = await pawlOf({
      destinations: { erp },
      destinationTypes: [held.type],
      routes: [on("order.*").to("erp")],
    });
    await widen(pawl, "holding");
    const [wide = ""] = await recordWide(pawl, 1);
    const [order = ""] = await orders(pawl, 1);
    const worker = await pawl.work({ concurrency: WIDTH + 1 });
    await until("the ordinary event is delivered", async () => {
      return (await pawl.event(order))?.status === "published";
    });
    expect(await counts(pawl, wide)).toEqual({ deliveries: WIDTH, open: WIDTH });
    held.release();
    await until("the wide event is delivered everywhere", async () => {
      return (await pawl.event(wide))?.status === "published";
    });
    expect(held.count).toBe(WIDTH);
    expect(await counts(pawl, wide)).toEqual({ deliveries: WIDTH, open: 0 });
    await worker.stop();
  });

  test("R80: many of them are routed in bounded transactions, in their order, and what comes later is not lost behind them", async () => {
    const pawl = await pawlWith({ erp: nullDestination() }, [on("order.*").to("erp")]);
    await widen(pawl);
    await recordWide(pawl, 12);
    await orders(pawl, 1);
    const rounds: number[] = [];
    for (;;) {
      const routed = await routeOnce(pawl.store, 500);
      if (routed === 0) break;
      rounds.push(routed ?? 0);
    }
    expect(rounds).toEqual([5, 5, 3]);
    const [row] = await pawl.store.rows("select count(*)::int as n from pawl.delivery");
    expect(row).toEqual({ n: 12 * WIDTH + 1 });
  });

  test("R81: one event wider than a whole batch is routed all the same", async () => {
    const pawl = await pawlWith({ erp: nullDestination() }, [on("order.*").to("erp")]);
    await widen(pawl);
    const [wide = ""] = await recordWide(pawl, 1);
    expect(await pawl.store.rows("select pawl.route_v1(500, 10) as n")).toEqual([{ n: 1 }]);
    expect(await counts(pawl, wide)).toEqual({ deliveries: WIDTH, open: WIDTH });
  });
});
