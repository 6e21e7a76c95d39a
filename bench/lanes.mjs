// `lanes`: how fast ordered tasks are drained by eight workers, from a backlog that they sort themselves and from one
// that is being written, and what a crowded lane costs the others.
import { setTimeout as wait } from "node:timers/promises";
import { startSubject } from "./child.mjs";
import { analyze } from "./queue.mjs";
import { median, perSecond, ratio, row } from "./report.mjs";
import { tryQuery } from "./server.mjs";

const WORKERS = 8;
const PROCESSES = 2;
const WARM_UP = { tasks: 4_000, lanes: 400 };
const CROWD_TASKS = 100_000;
const COUNT_POLL_MS = 2;

const FEW = { lanes: 200, tasks: 40_000, slots: 25 };
const MANY = { lanes: 4_000, tasks: 80_000, slots: 250 };

/** What is run in a round, in this order. `beside` names the row that the ratio is to. */
const RUNS = [
  { name: "no lanes, few slots", ...FEW, lanes: 0 },
  { name: "200 lanes", ...FEW, beside: "no lanes, few slots", target: 10_000 },
  { name: "200 lanes beside a scheduled crowd", ...FEW, crowd: "scheduled", beside: "200 lanes" },
  { name: "200 lanes beside a held crowd", ...FEW, crowd: "held", beside: "200 lanes" },
  { name: "200 lanes, enqueued meanwhile", ...FEW, isMeanwhile: true },
  { name: "no lanes, many slots", ...MANY, lanes: 0 },
  { name: "4,000 lanes", ...MANY, beside: "no lanes, many slots", target: 20_000 },
  { name: "4,000 lanes, enqueued meanwhile", ...MANY, isMeanwhile: true },
];

export async function lanes(bench) {
  const rates = new Map(RUNS.map((run) => [run, []]));
  for (let round = 1; round <= bench.rounds; round++) {
    for (const run of RUNS.filter((one) => bench.only.test(one.name))) {
      const rate = await measure(bench, run);
      bench.say(`round ${round}: ${run.name}: ${Math.round(rate)}/s`);
      rates.get(run).push(rate);
    }
  }
  return rows(rates);
}

function rows(rates) {
  const medians = new Map([...rates].map(([run, all]) => [run.name, median(all)]));
  return RUNS.filter((run) => rates.get(run).length > 0).map((run) => ({
    ...row({ name: run.name, unit: "tasks/s", pawl: medians.get(run.name) }),
    ...(medians.get(run.beside) > 0 && {
      ratio: ratio(medians.get(run.name), medians.get(run.beside)),
    }),
    ...(run.target !== undefined && { target: run.target }),
    slots: run.slots,
    rounds: rates.get(run).map(Math.round),
  }));
}

/** Tasks drained a second by the workers of one or more processes, in a database of their own. */
function measure({ server, turns, processes = PROCESSES, slots, shards, tasks }, run) {
  const load = { tasks: tasks ?? run.tasks, lanes: run.lanes, first: WARM_UP.tasks };
  const crowd = run.crowd === undefined ? 0 : CROWD_TASKS;
  const settings = { slots: slots ?? run.slots, workers: WORKERS / processes, shards, ...turns };
  return server.withDatabase((url) =>
    withChildren({ url, settings, processes }, async (writer, drainers) => {
      await writer.call("enqueue", WARM_UP);
      await drain(drainers, WARM_UP.tasks);
      await Promise.all(drainers.map((child) => child.call("stop")));
      if (crowd > 0) await writer.call("crowd", { tasks: crowd, head: run.crowd });
      if (!run.isMeanwhile) await writer.call("enqueue", load);
      await analyze(server, url);
      // no checkpoint of an earlier run's making falls into this one
      await tryQuery(server.admin, "checkpoint");
      const [ms] = await Promise.all([
        drain(drainers, load.tasks),
        run.isMeanwhile && writer.call("enqueue", load),
      ]);
      await Promise.all(drainers.map((child) => child.call("stop")));
      await writer.call("check", { tasks: WARM_UP.tasks + load.tasks, crowd });
      await Promise.all([writer, ...drainers].map((child) => child.call("close")));
      return perSecond(load.tasks, ms);
    }),
  );
}

/** One process that only writes, and those that drain. */
async function withChildren({ url, settings, processes }, work) {
  const children = [];
  try {
    children.push(await startSubject("pawl-lanes", { url, ...settings, workers: 0 }));
    while (children.length <= processes)
      children.push(await startSubject("pawl-lanes", { url, ...settings }));
    const [writer, ...drainers] = children;
    return await work(writer, drainers);
  } finally {
    await Promise.all(children.map((child) => child.end()));
  }
}

/** From before the workers start until every outcome is in the database. Answers the milliseconds. */
async function drain(drainers, tasks) {
  const start = performance.now();
  await Promise.all(drainers.map((child) => child.call("start")));
  for (;;) {
    const done = await Promise.all(drainers.map((child) => child.call("done")));
    if (done.reduce((sum, one) => sum + one, 0) >= tasks) break;
    await wait(COUNT_POLL_MS);
  }
  while (!(await drainers[0].call("isDrained"))) await wait(1);
  return performance.now() - start;
}
