import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { fleet } from "../support/fleet.ts";
import { count, LONG_LEASE } from "../support/kernel.ts";
import {
  killedProcess,
  PROCESS_KILLS,
  PROCESS_TABLES,
  processApp,
} from "../support/process-child.ts";
import { random } from "../support/random.ts";
import { size } from "../support/size.ts";
import { until } from "../support/until.ts";

const ROUNDS = size(1, 20);
const RUNS_EACH = 4;
const CONCURRENCY = 5;
const WORKERS = 2;

interface Effect {
  run: string;
  step: string;
  keys: string[];
  times: number;
}

test(`R33: runs whose workers are killed at each point of a run's life: transactions happen once, calls under one key, what may not be repeated is held, each run has one child, one request and one event, and all runs end`, async () => {
  const { whole, seed } = random();
  const workers = await fleet({
    app: processApp,
    child: "process-child.ts",
    setUp: [...PROCESS_TABLES, LONG_LEASE],
  });
  const { pawl } = workers;
  const notified: string[] = [];
  const server = createServer((request, response) => {
    notified.push(request.url?.slice(1) ?? "");
    response.writeHead(204).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const receiver = {
    PAWL_TEST_RECEIVER: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  };
  try {
    const ids: string[] = [];
    const more = async (n: number) => {
      for (let i = 0; i < n; i += 1) {
        const { id } = await pawl.start(killedProcess, {});
        await pawl.signal(id, "approved", { by: "ada" });
        ids.push(id);
      }
    };
    const kills = PROCESS_KILLS.flatMap((kill) => Array.from({ length: ROUNDS }, () => kill));
    for (const kill of kills) {
      await more(RUNS_EACH);
      const pid = await workers.start(CONCURRENCY, {
        ...receiver,
        PAWL_TEST_KILL: `${kill}:${whole(1, 3)}`,
      });
      await until(`killed at ${kill}`, async () => {
        if (!workers.live.includes(pid)) return true;
        const [row] = await pawl.store.rows(
          "select from pawl.task where run_at < 'infinity' limit 1",
        );
        if (row === undefined) await more(2); // it may have done all of them together
        return false;
      });
      await workers.bury(pid);
    }
    await Promise.all(Array.from({ length: WORKERS }, () => workers.start(CONCURRENCY, receiver)));
    const held = async () => (await pawl.processes.list({ status: "held", limit: 10_000 })).length;
    await until(
      "all are done or held",
      async () => (await count(pawl.store, "task")) === (await held()),
    );
    const heldNow = await pawl.processes.list({ status: "held", limit: 10_000 });
    expect(heldNow.map((run) => run.step)).toEqual(heldNow.map(() => "once"));
    for (const { id } of heldNow) await pawl.processes.complete(id, "once", { output: "by hand" });
    // an event is a task of its own once it is routed
    await until("all have ended", async () => {
      const unrouted = await count(pawl.store, "event where routed_at is null");
      return unrouted === 0 && (await count(pawl.store, "task")) === 0;
    });
    console.log(`seed ${seed}: ${kills.length} kills, ${heldNow.length} runs held`);

    for (const process of ["killed", "part"]) {
      const runs = await pawl.processes.list({ process, limit: 10_000 });
      expect(runs.map((run) => run.status)).toEqual(ids.map(() => "done"));
    }
    expect(await pawl.store.rows("select from pawl.task_to_wake")).toEqual([]);
    const effects = await pawl.store.rows<Effect>(
      "select run::text, step, array_agg(distinct key) as keys, count(*)::int as times from effect group by run, step",
    );
    const of = (step: string) => effects.filter((effect) => effect.step === step);
    for (const step of ["reserve", "told", "part", "ship"]) {
      expect(of(step).map((effect) => effect.times)).toEqual(ids.map(() => 1));
    }
    const numbers = (list: readonly string[]) => list.toSorted((a, b) => Number(a) - Number(b));
    expect(numbers([...new Set(notified)])).toEqual(ids);
    expect(await pawl.requests.list({ limit: 10_000 })).toHaveLength(ids.length);
    const events = await pawl.events.list({ limit: 10_000 });
    expect(numbers(events.map((event) => event.aggregateId))).toEqual(ids);
    expect(events.every((event) => event.status === "published")).toBe(true);
    expect(of("pay")).toHaveLength(ids.length);
    for (const { keys, run, step } of of("pay")) expect(keys).toEqual([`process-${run}-${step}`]);
    for (const { keys, run, times } of of("items")) {
      expect(keys.toSorted()).toEqual([0, 1, 2].map((item) => `process-${run}-items/${item}`));
      expect(times).toBeLessThan(3 * kills.length);
    }
    expect(of("items")).toHaveLength(ids.length);
    expect(of("once").every((effect) => effect.times === 1)).toBe(true);
    const doneTwice = await pawl.store.rows(
      "select run_id, step from pawl.process_step where outcome in ('done', 'completed') group by run_id, step having count(*) > 1",
    );
    expect(doneTwice).toEqual([]);
  } finally {
    server.close();
    await workers.stop();
  }
}, 900_000);
