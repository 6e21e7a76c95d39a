import { describe, expect, test } from "vitest";
import { nullDestination, on, type Pawl } from "../../src/index.ts";
import { route } from "../../src/outbox/sql.ts";
import { until } from "../support/until.ts";
import { collecting, orders, pawlWith } from "./replay-support.ts";

const WIDTH = 1_000;

/** Destinations of an operator, each with a route for `wide.*`. */
async function widen(pawl: Pawl): Promise<void> {
  await pawl.store.rows(
    `select pawl.put_destination_v1(jsonb_build_object('name', 'wide-' || g, 'type', 'null', 'config', '{}'::jsonb,
              'queue', '{}'::jsonb), true, null, 'test', null)
       from generate_series(1, $1::int) g`,
    [WIDTH],
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

describe("one event to a thousand destinations", () => {
  test("R80, R81: is stored once, delivered to each, and an ordinary event beside it does not wait for them", async () => {
    const erp = collecting();
    const pawl = await pawlWith({ erp }, [on("order.*").to("erp")]);
    await widen(pawl);
    const [wide = ""] = await recordWide(pawl, 1);
    const [order = ""] = await orders(pawl, 1);
    const worker = await pawl.work();
    await until("the ordinary event is delivered", async () => erp.seen.length === 1);
    await until("the wide event is delivered everywhere", async () => {
      const { deliveries, open } = await counts(pawl, wide);
      return deliveries === WIDTH && open === 0;
    });
    const later = await pawl.store.rows(
      `select from pawl.delivery v join pawl.finished f on f.id = v.task_id
        where v.event_id = $1 and f.finished_at > (select o.finished_at from pawl.delivery u
          join pawl.finished o on o.id = u.task_id where u.event_id = $2)`,
      [wide, order],
    );
    expect(later.length).toBeGreaterThan(0);
    expect((await pawl.event(wide))?.status).toBe("published");
    expect((await pawl.event(order))?.status).toBe("published");
    await worker.stop();
  });

  test("R80: many of them are routed in bounded transactions, in their order, and what comes later is not lost behind them", async () => {
    const pawl = await pawlWith({ erp: nullDestination() }, [on("order.*").to("erp")]);
    await widen(pawl);
    await recordWide(pawl, 12);
    await orders(pawl, 1);
    const rounds: number[] = [];
    for (;;) {
      const routed = await route(pawl.store, 500);
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
