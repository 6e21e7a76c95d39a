import { connect, defineApp, defineJob } from "pawl";
import { z } from "zod";

const sendEmail = defineJob({
  name: "send-email",
  input: z.object({ to: z.string() }),
  run: async ({ to }, { attempt, idempotencyKey }) => {
    console.log(`to ${to}, attempt ${attempt}, key ${idempotencyKey}`);
    return { accepted: true };
  },
});

const pawl = await connect(defineApp({ jobs: [sendEmail] })); // DATABASE_URL, or an embedded PostgreSQL

await pawl.transaction(async (tx) => {
  await tx.query("create table if not exists customer (email text)");
  await tx.query("insert into customer values ($1)", ["ada@example.com"]);
  await pawl.enqueue(sendEmail, { to: "ada@example.com" }, { tx }); // commits or rolls back with the row
});

const worker = await pawl.work({ limit: 1 });
await worker.stopped;
await pawl.close();
