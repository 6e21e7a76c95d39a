// `crowd`: what a turn and a look cost while millions of other tasks wait in the same table.
import { startSubject } from "./child.mjs";
import { measured, percentile, ratio } from "./report.mjs";
import { tryQuery } from "./server.mjs";

const SIZES = { scheduled: 10_000_000, held: 100_000, ready: 1_000_000 };
const FILL_MS_MAX = 900_000;
const TURNS = 500;
const TURN_TASKS = 100;
const LOOKS = 500;
const TURN_P99_MS_MAX = 10;
const STATISTICS = 200;
const STATISTICS_P99_MS_MAX = 20;

export async function crowd(bench) {
  const sizes = scaled(SIZES, bench.scale);
  const alone = await measure(bench, { ...sizes, scheduled: 0, held: 0 }, "alone");
  const crowded = await measure(bench, sizes, "in the crowd");
  const before = new Map(alone.map((one) => [one.name, one.pawl]));
  // how much longer it takes
  return crowded.map((one) => ({
    ...one,
    alone: before.get(one.name),
    ratio: ratio(one.pawl, before.get(one.name)),
  }));
}

function measure({ server, say }, sizes, where) {
  return server.withDatabase(async (url) => {
    const child = await startSubject("pawl-crowd", { url }, { callMsMax: FILL_MS_MAX });
    try {
      const ms = await child.call("fill", sizes);
      const counts = Object.entries(sizes).map(
        ([name, tasks]) => `${tasks.toLocaleString("en")} ${name}`,
      );
      say(`${counts.join(", ")}: written and analyzed in ${Math.round(ms / 1_000)} s`);
      await tryQuery(server.admin, "checkpoint");
      const rows = [];
      for (const [name, call, samples, target] of calls(sizes)) {
        const times = await child.call(call, samples);
        if (times !== undefined) rows.push(...report({ name, times, target, say, where }));
      }
      await child.call("close");
      return rows;
    } finally {
      await child.end();
    }
  });
}

/** Name, call, samples, and the p99 that it is to keep. */
function calls({ ready }) {
  // the warm-up takes some too
  const turns = Math.min(TURNS, Math.floor((ready / TURN_TASKS) * 0.8));
  return [
    [`turn, settles and claims ${TURN_TASKS}`, "turns", turns, TURN_P99_MS_MAX],
    ["statistics", "statistics", STATISTICS, STATISTICS_P99_MS_MAX],
    ["look, 3 streams", "looks", LOOKS],
    ["look, 1,003 streams", "looksOfAll", LOOKS],
    [undefined, "open"],
    ["look, 1,003 streams with work", "looksOfAll", LOOKS],
    ["promotion, nothing due", "promotions", LOOKS],
  ];
}

function scaled(sizes, scale) {
  return Object.fromEntries(
    Object.entries(sizes).map(([name, tasks]) => [
      name,
      Math.max(Math.round(tasks * scale), 2_000),
    ]),
  );
}

function report({ name, times, target, say, where }) {
  const [p50, p99, most] = [0.5, 0.99, 1].map((share) => percentile(times, share));
  say(
    `${where}: ${name}: p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms, most ${most.toFixed(2)} ms of ${times.length}`,
  );
  return [
    measured({ name: `${name}, p50`, unit: "ms", value: p50 }),
    {
      ...measured({ name: `${name}, p99`, unit: "ms", value: p99 }),
      ...(target !== undefined && { target }),
    },
  ];
}
