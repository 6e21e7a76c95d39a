import { describe, expect, test } from "vitest";
import type { Pawl } from "../../src/index.ts";
import { type Fleet, fleet } from "../support/fleet.ts";
import { lateBeats } from "../support/late-beats.ts";
import { slowness } from "../support/slowness.ts";
import { until } from "../support/until.ts";
import { holdJob, neighbourJob, poisonJob } from "../support/worker-child.ts";

interface Began {
  pid: number;
  at: Date;
}

async function withFleet(work: (workers: Fleet) => Promise<void>): Promise<void> {
  const workers = await fleet();
  try {
    await work(workers);
  } finally {
    await workers.stop();
  }
}

async function beganTimes(
  pawl: Pawl,
  task: string,
  times: number,
  meanwhile: () => Promise<void> = async () => undefined,
): Promise<Began[]> {
  return until(`task ${task} has begun ${times} times`, async () => {
    await meanwhile();
    const rows = await pawl.store.rows<Began>(
      "select pid, at from began where task = $1 order by at",
      [task],
    );
    return rows.length >= times && rows;
  });
}

/** A task that was lost runs again within this time, beside what the machine stood still. */
const BACK_MS = 15_000;
/** Its way back is several statements, where a heartbeat is one. */
const LATE_TIMES = 4;

async function clockOf(pawl: Pawl): Promise<Date> {
  const [row] = await pawl.store.rows<{ now: Date }>("select clock_timestamp() as now");
  if (row === undefined) throw new Error("no time");
  return row.now;
}

describe.concurrent("a worker that is stopped from outside", () => {
  test("R64 R100: frozen beyond its lease: its task runs elsewhere within 15 s, and it writes nothing when it wakes", () =>
    withFleet(async (workers) => {
      const { pawl } = workers;
      const frozen = await workers.start(1);
      const { id } = await pawl.enqueue(holdJob, {});
      await beganTimes(pawl, id, 1);
      const worker = await workers.workerOf(frozen);
      const other = await workers.start(1);
      const beats = lateBeats(pawl.store, await workers.workerOf(other));
      const slowMs = slowness(pawl.store);
      const frozenAt = await clockOf(pawl);
      process.kill(frozen, "SIGSTOP");
      const [, second] = await beganTimes(pawl, id, 2, beats.look);
      const backMs = Number(second?.at) - Number(frozenAt);
      expect(second?.pid).toBe(other);
      expect(backMs).toBeLessThan(
        BACK_MS + LATE_TIMES * beats.sumMs(frozenAt, second?.at ?? frozenAt) + slowMs(),
      );
      const ended = await until("the other worker has finished it", async () => {
        const task = await pawl.task(id);
        return task?.state === "done" && task;
      });
      expect(ended).toMatchObject({ attempt: 2, result: { pid: other } });

      process.kill(frozen, "SIGCONT");
      const refused = await until("the frozen process has registered anew", async () => {
        const rows = await pawl.store.rows<{ refused: string }>(
          "select refused from pawl.worker where pid = $1 and id > $2",
          [frozen, worker],
        );
        return rows.length > 0 && rows;
      });
      expect(refused).toEqual([{ refused: "1" }]);
      await pawl.store.rows("insert into released values ($1)", [id]); // its handler may end now
      await workers.drained(frozen);
      expect(await pawl.task(id)).toEqual(ended);
      const history = await pawl.store.rows(
        "select outcome, attempt, worker_id from pawl.attempt where task_id = $1",
        [id],
      );
      expect(history).toEqual([{ outcome: "lost", attempt: 1, worker_id: worker }]);
      console.log(`a frozen worker's task ran again after ${backMs} ms`);
    }));

  test("R64: killed with its worker, a task runs again within 15 s, its attempt counted", () =>
    withFleet(async (workers) => {
      const { pawl } = workers;
      const first = await workers.start(1);
      const { id } = await pawl.enqueue(holdJob, {});
      await beganTimes(pawl, id, 1);
      const beats = lateBeats(pawl.store, await workers.workerOf(await workers.start(1)));
      const slowMs = slowness(pawl.store);
      const killedAt = await clockOf(pawl);
      await workers.kill(first);
      const [, second] = await beganTimes(pawl, id, 2, beats.look);
      const backMs = Number(second?.at) - Number(killedAt);
      expect(backMs).toBeLessThan(
        BACK_MS + LATE_TIMES * beats.sumMs(killedAt, second?.at ?? killedAt) + slowMs(),
      );
      expect(await until("done", async () => (await pawl.task(id))?.attempt)).toBe(2);
      console.log(`a killed worker's task ran again after ${backMs} ms`);
    }));

  test("R64: a task that kills its worker three times while alone is set aside as crashed, its neighbours are not", () =>
    withFleet(async (workers) => {
      const { pawl } = workers;
      const poison = await pawl.enqueue(poisonJob, {});
      const neighbours = await pawl.enqueueMany(
        neighbourJob,
        Array.from({ length: 7 }, () => ({})),
      );
      let crashes = 0;
      const reason = await until(
        "the poison task is dead",
        async () => {
          const pid = await workers.start(8);
          const state = await until("the worker died, or the poison task did", async () => {
            const task = await pawl.task(poison.id);
            return task?.state === "dead" ? task.reason : !workers.live.includes(pid) && "killed";
          });
          if (state !== "killed") return state;
          crashes += 1;
          await workers.bury(pid);
          return undefined;
        },
        300_000,
      );
      expect(reason).toBe("crashed");
      expect(crashes).toBeGreaterThanOrEqual(4); // once among neighbours, three times alone; beside others none counts
      await workers.start(8);
      await until("the neighbours are done", async () => {
        const rows = await Promise.all(neighbours.map(({ id }) => pawl.task(id)));
        expect(rows.some((row) => row?.state === "dead")).toBe(false);
        return rows.every((row) => row?.state === "done");
      });
    }));
});
