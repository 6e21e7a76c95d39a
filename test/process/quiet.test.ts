/** Quiet hours and runs that are under way: each step is asked anew, with its own time limit. */

import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineProcess, type Pawl } from "../../src/index.ts";
import { movableClock } from "../support/clock.ts";
import { freshDatabase } from "../support/database.ts";
import { untilStatus } from "../support/runs.ts";
import { until } from "../support/until.ts";

const DAY = 86_400_000;
const HOURS = { from: "12:00", to: "12:10", timeZone: "UTC" };

function closing(ran: string[]) {
  const step = (name: string) => () => void ran.push(name);
  return defineProcess({
    name: "closing",
    version: 1,
    input: z.object({}),
    steps: (s) =>
      s
        .call("short", step("short"), { timeout: "1m" })
        .call("unwanted", step("unwanted"), { timeout: "30m", when: () => false })
        .call("exempt", step("exempt"), { timeout: "1h", duringQuietHours: true })
        .tx("long", step("long"), { timeout: "30m" })
        .call("last", step("last"), { timeout: "1m" }),
  });
}

async function clockAt(pawl: Pawl, time: string) {
  const clock = await movableClock(pawl.store, { isSlow: true });
  const tomorrow = new Date(Date.now() + DAY).toISOString().slice(0, 10);
  await clock.advance(Date.parse(`${tomorrow}T${time}:00Z`) - Date.now());
  return clock;
}

test("a step that could last into quiet hours does not begin, and one whose condition leaves it out is no reason to wait; the run goes on after them, or when an operator lets it", async () => {
  const ran: string[] = [];
  const process = closing(ran);
  const { url } = await freshDatabase({ longLeases: true });
  const app = defineApp({ name: "shop", processes: [process], quietHours: { night: HOURS } });
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  onTestFinished(() => pawl.close());
  const clock = await clockAt(pawl, "11:50");
  await pawl.work();
  const { id } = await pawl.start(process, {});
  const stopped = async () => (await pawl.task(id))?.state === "scheduled" && ran.length === 2;
  await until("it has stopped before the long step", stopped);
  expect(ran).toEqual(["short", "exempt"]);
  expect((await untilStatus(pawl, id, "pending")).run).toMatchObject({ step: "long", attempt: 0 });
  await clock.advance(61_000); // it asks again, and is held again
  await until("it was asked again", async () => {
    const task = await pawl.task(id);
    const now = (await pawl.store.rows<{ now: Date }>("select pawl.now() as now"))[0]?.now;
    return task?.state === "scheduled" && now !== undefined && (task.runAt ?? now) > now;
  });
  expect(ran).toHaveLength(2);
  await pawl.quiet.force("night", { why: "the books wait" });
  await until("the worker has heard of it", async () => {
    const unheard =
      "select from pawl.worker w where w.off_seen < (select epoch from pawl.off_epoch)";
    return (await pawl.store.rows(unheard)).length === 0;
  });
  await clock.advance(61_000); // the next time that it asks
  const { steps } = await untilStatus(pawl, id, "done");
  expect(ran).toEqual(["short", "exempt", "long", "last"]);
  expect(steps.map(({ outcome, attempt }) => `${outcome} ${attempt}`)).toEqual([
    "done 1",
    "skipped 1",
    ...Array(3).fill("done 1"),
  ]);
});

test("a run whose shortest step could last into quiet hours is not taken up; `why` says so", async () => {
  const ran: string[] = [];
  const process = closing(ran);
  const { url } = await freshDatabase({ longLeases: true });
  const app = defineApp({ name: "shop", processes: [process], quietHours: { night: HOURS } });
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  onTestFinished(() => pawl.close());
  const clock = await clockAt(pawl, "12:01");
  const worker = await pawl.work();
  const { id } = await pawl.start(process, {});
  expect((await pawl.why(id)).line).toContain("quiet hours night hold it until");
  await worker.stop();
  expect(ran).toEqual([]);
  await clock.advance(10 * 60_000);
  await pawl.work(); // it knows what the moved clock says
  await untilStatus(pawl, id, "done");
  expect(ran).toHaveLength(4);
});
