/** A deploy with runs in flight. */

import { expect, onTestFinished, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { type AnyProcess, connect, defineApp, defineProcess, type Pawl } from "../../src/index.ts";
import { freshDatabase } from "../support/database.ts";
import { untilStatus } from "../support/runs.ts";
import { size } from "../support/size.ts";
import { until } from "../support/until.ts";
import { BASE, toMoney, v1, v2 } from "./two-versions.ts";

test("R17: a deploy with many runs in flight: two versions side by side, back to the first, a changed shape refused, then all moved", async () => {
  const count = size(300, 10_000);
  const { url } = await freshDatabase({ longLeases: true });
  const deploy = async (...processes: AnyProcess[]): Promise<Pawl> => {
    const pawl = await connect(defineApp({ name: "shop", processes }), {
      databaseUrl: url,
      log: silentLogger,
    });
    onTestFinished(() => pawl.close());
    return pawl;
  };
  const waitingRuns = async (pawl: Pawl) => {
    const rows = await pawl.processes.versions("order");
    return rows.map(({ version, live, errors }) => `${version}: ${live} ${errors}`);
  };
  const startAll = async (pawl: Pawl, many: number) => {
    for (let start = 1; start <= many; start += 200)
      await pawl.store.rows(
        "select count(*) from pawl.start_processes_v1((select jsonb_agg(jsonb_build_object('process', 'order', 'input', jsonb_build_object('order', n))) from generate_series($1::int, $2::int) n))",
        [start, Math.min(start + 199, many)],
      );
  };
  const allWait = (pawl: Pawl, version: number, many: number) =>
    until("all wait", async () => {
      const [row] = await pawl.store.rows<{ n: number }>(
        "select count(*)::int as n from pawl.task_v1 t where t.version = $1 and t.state = 'parked'",
        [version],
      );
      return row?.n === many;
    });

  const first = await deploy(v1);
  await startAll(first, count);
  const worker1 = await first.work();
  await allWait(first, 1, count);

  const second = await deploy(v2(toMoney)); // beside the first one
  const worker2 = await second.work();
  await startAll(second, 10);
  await allWait(second, 2, 10);

  await worker2.stop(); // back to the first one: the runs of the second wait for a worker that knows them
  await second.close();
  const [left] = await first.processes.list({ limit: 1 });
  await first.signal(left?.id ?? "", "money");
  const { id } = await waitingAs(first);
  expect((await first.why(left?.id ?? ""))?.line).toContain("no live worker");
  await first.processes.abandon(id);
  expect((await first.task(id))?.error?.message).toMatch(/^abandoned by /);

  const changed = defineProcess({ ...BASE, version: 2, steps: (s) => s.wait("money") });
  await expect(deploy(changed)).rejects.toMatchObject({ code: "process_changed" });

  const third = await deploy(v2(toMoney));
  const worker3 = await third.work();
  await worker1.stop();
  const some = await third.processes.migrate("order", { from: 1, limit: 25, why: "a part" });
  expect(some.count).toBe(25);
  const all = await third.processes.migrate("order", { from: 1, why: "the rest" });
  expect(all.runs.filter((run) => run.outcome !== "migrated")).toEqual([]);
  expect(all.count).toBe(count - 25);
  await allWait(third, 2, count + 10);
  expect(await waitingRuns(third)).toEqual(["1: 0 0", expect.stringMatching(/^2: \d+ 0$/)]);
  const { run } = await untilStatus(third, all.runs[0]?.id ?? "", "waiting");
  expect(run).toMatchObject({ version: 2, waitsFor: "money" });
  await worker3.stop();
});

async function waitingAs(pawl: Pawl): Promise<{ id: string }> {
  const { id } = await pawl.start(v1, { order: 0 });
  await untilStatus(pawl, id, "waiting");
  return { id };
}
