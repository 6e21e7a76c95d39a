/** Every event that can be recorded can become a job, and be raised again by a flow. */

import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob, flow, on, toJob } from "../../src/index.ts";
import { jobType } from "../../src/outbox/destinations/job-type.ts";
import { deliveriesOf } from "../../src/outbox/sql.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

const BYTES_MAX = 1_048_576;
/** As PostgreSQL writes it: `{"a": "…"}`. */
const largest = () => ({ a: "x".repeat(BYTES_MAX - '{"a": ""}'.length) });

function deepest(): unknown {
  let value: unknown = 1;
  for (let depth = 0; depth < 500; depth += 1) value = [value];
  return value;
}

const EVENTS: Record<string, { payload: unknown; meta: Record<string, unknown> }> = {
  "the largest payload": { payload: largest(), meta: {} },
  "the deepest payload": { payload: deepest(), meta: {} },
  "the largest payload and meta": { payload: largest(), meta: largest() },
  "the deepest meta": { payload: {}, meta: { a: (deepest() as unknown[])[0] } },
  "a tenant with a long name": {
    payload: {},
    meta: { tenant: { company: "é".repeat(5_000), plugin: "p" }, trace: "t" },
  },
};

test.each(Object.entries(EVENTS))(
  "R83: an event with %s runs as a job, and is raised again by a flow",
  async (_, event) => {
    const seen: unknown[] = [];
    const job = defineJob({
      name: "on-order",
      input: z.looseObject({}),
      run: (input) => void seen.push(input),
    });
    const app = defineApp({
      jobs: [job],
      destinations: {
        coded: toJob(job),
        named: jobType.define({ job: "on-order" }),
        again: flow({ name: "raised" }),
      },
      routes: [
        on("order.*").to("coded"),
        on("order.*").to("named"),
        on("order.*").to("again"),
        on("raised").to("coded"),
      ],
    });
    const { url } = await freshDatabase({ longLeases: true });
    const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
    onTestFinished(() => pawl.close());
    const { id } = await pawl.record("order.placed", { aggregate: ["order", 1], ...event });
    await pawl.work();
    await until("its job ran three times", async () => {
      const failed = (await deliveriesOf(pawl.store, id)).filter((one) => one.status === "dead");
      if (failed.length > 0) throw new Error(JSON.stringify(failed).slice(0, 1_000));
      return seen.length === 3;
    });
    expect(seen[0]).toMatchObject({
      eventName: "order.placed",
      payload: event.payload,
      meta: event.meta,
    });
  },
);

test("R83: an input of the app's own is measured as a whole, as that of any job", async () => {
  const job = defineJob({ name: "on-order", input: z.looseObject({}), run: () => undefined });
  const app = defineApp({
    jobs: [job],
    destinations: { coded: toJob(job, { input: ({ payload }) => ({ payload, more: 1 }) }) },
    routes: [on("order.*").to("coded")],
  });
  const { url } = await freshDatabase({ longLeases: true });
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  onTestFinished(() => pawl.close());
  const { id } = await pawl.record("order.placed", { aggregate: ["order", 1], payload: largest() });
  await pawl.work();
  await until(
    "its delivery is dead",
    async () => (await deliveriesOf(pawl.store, id))[0]?.status === "dead",
  );
});
