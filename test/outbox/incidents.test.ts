import { beforeAll, describe, expect, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, nullDestination, on, type Pawl } from "../../src/index.ts";
import { closeQuietBreakers, reportAttempts } from "../../src/kernel/breaker/sql.ts";
import { queues } from "../../src/kernel/operator/switches/sql.ts";
import { movableClock } from "../support/clock.ts";
import { freshDatabase } from "../support/database.ts";
import { waitForLocks } from "../support/kernel.ts";
import { until } from "../support/until.ts";
import { SECRET, withMasterKey } from "./operators-support.ts";

withMasterKey();

const MINUTE_MS = 60_000;
const OPEN_MS = 30_000;

let pawl: Pawl;
let clock: { advance(ms: number): Promise<void> };

beforeAll(async () => {
  const { url } = await freshDatabase({ longLeases: true });
  const app = defineApp({
    name: "shop",
    destinations: { audit: nullDestination() },
    routes: [on("pawl.destination.*").to("audit")],
  });
  pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  await waitForLocks(pawl.store, "report_v1");
  clock = await movableClock(pawl.store, { isSlow: true });
  return () => pawl.close();
});

async function destination(name: string): Promise<number> {
  const config = { url: "https://erp.example/hooks", secret: SECRET };
  await pawl.destinations.add({ name, type: "webhook", config });
  const [row] = await pawl.store.rows<{ stream_id: number }>(
    "select stream_id from pawl.destination where name = $1 and removed_at is null",
    [name],
  );
  return row?.stream_id ?? 0;
}

const say = (stream: number, ok: number, failed: number) =>
  reportAttempts(pawl.store, [
    { stream, ok, failed, hold_ms: null, error: { name: "Error", message: "503" } },
  ]);

async function delivery(name: string, runInMs = 0): Promise<void> {
  await pawl.store.rows(
    `insert into pawl.task (shard_id, queue_id, seq, state, run_at, created_at, payload)
     select s.id, s.queue_id, nextval('pawl.seq'), case when $2 > 0 then 'scheduled' else 'ready' end,
            pawl.now() + $2 * interval '1 ms', pawl.now(), '{}'
       from pawl.shard s join pawl.destination d on d.stream_id = s.stream_id
      where d.name = $1 and s.priority = 1 and not s.solo`,
    [name, runInMs],
  );
}

/** What was said of it, and why at its end. */
async function said(name: string): Promise<string[]> {
  const rows = await pawl.store.rows<{ name: string; why: string | null }>(
    "select name, payload ->> 'why' as why from pawl.event where payload ->> 'destination' = $1 order by number",
    [name],
  );
  return rows.map(
    (row) => row.name.replace("pawl.destination.", "") + (row.why ? `: ${row.why}` : ""),
  );
}

const state = async (name: string) => (await pawl.destinations.show(name))?.state;

const pass = async (ms: number) => {
  await clock.advance(ms);
  await closeQuietBreakers(pawl.store);
};

describe("R114: an incident that was opened is closed once", () => {
  test("by time alone, where the receiver may be well and nothing comes to try it with", async () => {
    const stream = await destination("quiet");
    await say(stream, 0, 10);
    expect(await state("quiet")).toBe("open");
    await pass(OPEN_MS + 1);
    expect(await state("quiet")).toBe("probing");
    const rows = await queues(pawl.store);
    const row = rows.find((one) => one.queue === "destination:quiet");
    expect(row).toMatchObject({
      holds: [],
      breakers: [{ phase: "probing", until: null, starts: 1, error: "503" }],
    });
    await pass(MINUTE_MS + 1);
    expect(await state("quiet")).toBe("on");
    await pass(MINUTE_MS);
    expect(await said("quiet")).toEqual(["tripped", "recovered: no traffic"]);
  });

  test("by time alone after a good probe, and by attempts that end well", async () => {
    const probed = await destination("probed");
    const busy = await destination("busy");
    for (const stream of [probed, busy]) await say(stream, 0, 10);
    await pass(OPEN_MS + 1);
    for (const stream of [probed, busy]) await say(stream, 1, 0);
    expect(await state("probed")).toBe("recovering");
    for (let good = 2; good <= 64; good *= 2) await say(busy, good, 0);
    await pass(MINUTE_MS + 1);
    expect(await said("probed")).toEqual([
      "tripped",
      "recovered: its probe ended well, and no traffic since",
    ]);
    expect(await said("busy")).toEqual(["tripped", "recovered: attempts end well"]);
  });

  test("not while something waits that will be its probe; a try that is far off is not waited for", async () => {
    const held = await destination("held");
    const later = await destination("later");
    for (const stream of [held, later]) await say(stream, 0, 10);
    await delivery("held");
    await delivery("later", 86_400_000);
    await pass(OPEN_MS + 5 * MINUTE_MS);
    expect([await said("held"), await said("later")]).toEqual([["tripped"], ["tripped"]]);
    await pass(6 * MINUTE_MS);
    expect([await said("held"), await said("later")]).toEqual([
      ["tripped"],
      ["tripped", "recovered: no traffic"],
    ]);
    expect(await state("held")).toBe("probing");
  });

  test.each([
    [
      "a person who resumes it",
      () => pawl.destinations.resume("ended", { by: "ada" }),
      "resumed by ada",
    ],
    ["its removal", () => pawl.destinations.remove("ended"), "the destination was removed"],
    [
      "an edit that turns its breaker off",
      () => pawl.destinations.edit("ended", { breaker: "off" }),
      "it has no breaker any more",
    ],
    [
      "a registration without a breaker",
      async () => {
        await pawl.store.rows(
          "update pawl.queue set breaker = null where name = 'destination:ended'",
        );
        await connectAgain();
      },
      "its queue has no breaker any more",
    ],
  ])("by %s", async (_who, end, why) => {
    await pawl.store.rows("delete from pawl.event");
    const stream = await destination("ended");
    await say(stream, 0, 10);
    await end();
    await pass(10 * MINUTE_MS);
    expect(await said("ended")).toEqual(["tripped", `recovered: ${why}`]);
    if ((await pawl.destinations.list()).some(({ name }) => name === "ended")) {
      await pawl.destinations.remove("ended");
    }
  });

  test("whoever ends it at once: two keepers, a person and reports", async () => {
    const stream = await destination("raced");
    for (let incident = 1; incident <= 5; incident += 1) {
      await say(stream, 0, 10);
      await clock.advance(OPEN_MS + MINUTE_MS + 1);
      await Promise.all([
        closeQuietBreakers(pawl.store),
        closeQuietBreakers(pawl.store),
        pawl.destinations.resume("raced"),
        say(stream, 1, 0),
        say(stream, 70, 0),
      ]);
      await pass(2 * MINUTE_MS);
      const verbs = (await said("raced")).map((one) => one.split(":")[0]);
      expect(verbs).toEqual(Array(incident).fill(["tripped", "recovered"]).flat());
    }
  });

  test("with two workers, over a restart", async () => {
    const stream = await destination("restarted");
    const first = await pawl.work();
    await say(stream, 0, 10);
    await first.stop();
    await clock.advance(OPEN_MS + MINUTE_MS + 1);
    const workers = await Promise.all([pawl.work(), pawl.work()]);
    await until("it is said", async () => (await said("restarted")).length === 2);
    await Promise.all(workers.map((one) => one.stop()));
    expect(await said("restarted")).toEqual(["tripped", "recovered: no traffic"]);
  });
});

/** As another release of the app does. */
async function connectAgain(): Promise<void> {
  const other = await connect(defineApp({ name: "other" }), {
    databaseUrl: pawl.store.url,
    log: silentLogger,
  });
  await other.close();
}
