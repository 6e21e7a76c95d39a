// `latency`: how soon after its commit a task starts when a worker is idle, and what announcing it costs who enqueues.
import { withSubject } from "./child.mjs";
import { measured, median, percentile, ratio } from "./report.mjs";

const SAMPLES = 300;
const KINDS = ["plain", "laned"];
const SHARES = { p50: 0.5, p99: 0.99, most: 1 };
const TARGETS_MS = { p50: 3, p99: 15 };
/** busy: all its slots are taken. idle: it waits for other work. free: it runs these tasks as they come. */
const WORKERS = ["busy", "idle", "free"];
const RATIO_MIN = 0.85;

export async function latency(bench) {
  const starts = await startDelays(bench);
  return [...starts, ...(await announcementCosts(bench))];
}

async function startDelays({ server, say, tasks = SAMPLES }) {
  const rows = [];
  for (const kind of KINDS) {
    const delays = await withSubject(server, "pawl-latency", {}, (child) =>
      child.call("startDelays", { kind, samples: tasks }),
    );
    const at = Object.entries(SHARES).map(([name, share]) => [name, percentile(delays, share)]);
    const shown = at.map(([name, value]) => `${name} ${value.toFixed(2)} ms`);
    say(`${kind} task, commit to start: ${shown.join(", ")}`);
    for (const [name, value] of at)
      rows.push({
        ...measured({ name: `${kind} task, commit to start, ${name}`, unit: "ms", value }),
        ...(kind === "plain" && TARGETS_MS[name] !== undefined && { target: TARGETS_MS[name] }),
      });
  }
  return rows;
}

/** Single enqueues with and without the announcement, in turns. */
async function announcementCosts(bench) {
  const rows = [];
  for (const worker of WORKERS) {
    const rates = await announcedRates(bench, worker);
    const announced = median(rates.map((one) => one.announced));
    const silent = median(rates.map((one) => one.silent));
    const name = `single enqueues, ${worker} worker`;
    rows.push({
      ...measured({ name, unit: "tasks/s", value: announced, digits: 0 }),
      silent: Math.round(silent),
      ratio: ratio(announced, silent),
      rounds: rates.map((one) => ratio(one.announced, one.silent)),
      ...(worker === "busy" && { target: RATIO_MIN }),
    });
  }
  return rows;
}

function announcedRates({ server, say, rounds }, worker) {
  return withSubject(server, "pawl-announcing", { worker }, async (child) => {
    await child.call("round"); // warms up
    const rates = [];
    for (let round = 1; round <= rounds; round++) {
      const rate = await child.call("round");
      const shown = Object.entries(rate).map(([name, value]) => `${name} ${Math.round(value)}/s`);
      say(`round ${round}: single enqueues, ${worker} worker: ${shown.join(", ")}`);
      rates.push(rate);
    }
    return rates;
  });
}
