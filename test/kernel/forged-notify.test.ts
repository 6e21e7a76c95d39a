import { expect, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob } from "../../src/index.ts";
import { freshDatabase, rawClient } from "../support/database.ts";
import { count } from "../support/kernel.ts";
import { unowned } from "../support/unowned.ts";
import { until } from "../support/until.ts";

const FORGED = [
  "stop",
  "off",
  "off ",
  "off x",
  "off 9223372036854775807",
  "off 99999999999999999999999999",
  "off -1",
  "cancel",
  "constructor",
  "\u0007\u202e",
];

test("R103a: a notification that anybody may send neither stops a worker, nor ends its process, nor answers for it", async () => {
  const seen = unowned();
  const { url } = await freshDatabase({ longLeases: true });
  const job = defineJob({ name: "plain", input: z.object({}), run: () => undefined });
  const app = defineApp({ name: "forged", jobs: [job] });
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  const worker = await pawl.work({ concurrency: 1 });
  let isStopWanted = false;
  worker.stopWanted
    .then(() => {
      isStopWanted = true;
    })
    .catch(() => undefined);
  const other = await rawClient(url);
  const beat = async () =>
    (await other.query("select heartbeat_at, off_seen from pawl.worker")).rows[0] as {
      heartbeat_at: Date;
      off_seen: string;
    };
  for (const payload of FORGED) await other.query("select pg_notify('pawl.wake', $1)", [payload]);
  await pawl.enqueue(job, {});
  await until("a task ran", async () => (await count(pawl.store, "finished")) === 1);
  const { heartbeat_at: before } = await beat();
  await until("it beat", async () => (await beat()).heartbeat_at > before);
  expect((await beat()).off_seen).toBe("0");
  expect(isStopWanted).toBe(false);
  expect(seen).toEqual([]);
  // and the real one is heard
  await other.query("select pawl.ask_for_off_v1()");
  await until("it has seen the switch", async () => (await beat()).off_seen === "1");
  await other.query("select pawl.stop_workers_v1()");
  await worker.stopWanted;
  await pawl.close();
});
