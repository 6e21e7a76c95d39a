/** Nothing starts in the last 10 minutes of the day, while the books are closed. */

import { connect, defineApp, defineJob } from "pawl";
import { z } from "zod";

const invoice = defineJob({
  name: "invoice",
  input: z.object({ order: z.number() }),
  timeout: "2m", // from 23:48 on none starts, because it could last into the quiet hours
  run: ({ order }) => console.log(`invoice for order ${order}`),
});

const alarm = defineJob({
  name: "alarm",
  queue: "high",
  input: z.object({ text: z.string() }),
  run: ({ text }) => console.log(`alarm: ${text}`),
});

const app = defineApp({
  jobs: [invoice, alarm],
  quietHours: {
    closing: {
      from: "23:50",
      to: "24:00",
      timeZone: "Europe/Warsaw",
      exempt: ["queue:high"], // alarms go on
      why: "the books of the day are closed",
    },
  },
});

const pawl = await connect(app); // DATABASE_URL, or an embedded PostgreSQL
const worker = await pawl.work();
for (const { begins, ends } of await pawl.quiet.preview("closing", { days: 3 }))
  console.log(`quiet from ${begins.toISOString()} to ${ends.toISOString()}`);
await pawl.enqueue(alarm, { text: "this is heard at any time" });
const { id } = await pawl.enqueue(invoice, { order: 1 });
console.log((await pawl.why(id)).line);
await worker.stop("10s");
await pawl.close();
