// `limits`: what limits per key cost that nobody reaches: the rate at which tasks of many keys are drained, beside a queue without limits.
import { withSubject } from "./child.mjs";
import { median, perSecond, ratio, row } from "./report.mjs";
import { tryQuery } from "./server.mjs";

const KEYS = 1_000;
const TASKS = 40_000;
const WARM_UP_TASKS = 5_000;
const TARGET_RATIO = 0.8;
const NONE = "none";

/** Drained in turn, each beside the others, in one database. */
const RUNS = [NONE, "concurrency", "rate", "both"];
const NAMES = {
  none: "no limit",
  concurrency: "keyConcurrency, 1,000 keys",
  rate: "keyRate, 1,000 keys",
  both: "keyConcurrency and keyRate, 1,000 keys",
};

export function limits({ server, tasks = TASKS, rounds, say }) {
  const rates = new Map(RUNS.map((run) => [run, []]));
  return withSubject(server, "pawl-limits", { keys: KEYS }, async (child) => {
    const drain = async (run, many) => {
      await child.call("enqueue", { limits: run, tasks: many });
      // no checkpoint of an earlier run's making falls into this one
      await tryQuery(server.admin, "checkpoint");
      return perSecond(many, await child.call("drain", { limits: run, tasks: many }));
    };
    for (const run of RUNS) await drain(run, WARM_UP_TASKS);
    for (let round = 1; round <= rounds; round++) {
      for (const run of RUNS) {
        const rate = await drain(run, tasks);
        say(`round ${round}: ${NAMES[run]}: ${Math.round(rate)}/s`);
        rates.get(run).push(rate);
      }
    }
    return rows(rates);
  });
}

function rows(rates) {
  const free = median(rates.get(NONE));
  return RUNS.map((run) => ({
    ...row({ name: NAMES[run], unit: "tasks/s", pawl: median(rates.get(run)) }),
    ...(run !== NONE && { ratio: ratio(median(rates.get(run)), free), target: TARGET_RATIO }),
    rounds: rates.get(run).map(Math.round),
  }));
}
