/** An order as a process. Kill it while it pays, and start it again: it goes on where it was. */

import { setTimeout as takes } from "node:timers/promises";
import { connect, defineApp, defineProcess } from "pawl";
import { z } from "zod";

const orders = defineProcess({
  name: "order",
  version: 1,
  input: z.object({ order: z.number(), sku: z.string(), pieces: z.number() }),
  key: ({ order }) => `order-${order}`, // an order has one live run
  steps: (s) =>
    s
      .tx("reserve", async ({ tx, input: { sku, pieces } }) => {
        const sql = "update stock set pieces = pieces - $2 where sku = $1 returning pieces as left";
        const { rows } = await tx.query(sql, [sku, pieces]); // commits with the step
        return rows[0];
      })
      .call("pay", async ({ input: { order }, idempotencyKey }) => {
        console.log(`pay: order ${order}, key ${idempotencyKey}`); // the key lets the bank pay once
        await takes(5_000); // a slow bank
        return { payment: `payment-${order}` };
      })
      .wait("approved", { schema: z.object({ by: z.string() }), timeout: "10m" })
      .call("ship", ({ input: { order }, outputs: { approved, pay }, end }) => {
        if (approved === null) return end("skipped", "nobody approved it in time");
        console.log(`ship: order ${order}, ${pay.payment}, approved by ${approved.by}`);
        return { parcel: `parcel-${order}` };
      }),
});

const pawl = await connect(defineApp({ processes: [orders] })); // DATABASE_URL, or an embedded PostgreSQL
await pawl.transaction(async (tx) => {
  await tx.query(
    "create table if not exists stock (sku text primary key, pieces int check (pieces >= 0))",
  );
  await tx.query("insert into stock values ('tea', 100) on conflict do nothing");
});
const { id, outcome } = await pawl.start(orders, { order: 1, sku: "tea", pieces: 2 });
console.log(`run ${id}: ${outcome}`); // duplicate: it lives since an earlier start of this program

await pawl.work();
for (let shown = ""; ; await takes(100)) {
  const run = (await pawl.processes.show(id))?.run;
  if (run === undefined) break;
  if (run.status !== shown) console.log(`run ${id}: ${run.status} ${run.step ?? ""}`);
  if (run.endedAt !== null) break;
  shown = run.status;
}
await pawl.close();
