// `process`: how fast processes of three trivial steps run, beside a library that replays; how long one step in a transaction takes when
// nothing else runs; and what a million runs that wait cost the others.
import { withSubject as withOne } from "./child.mjs";
import { measured, median, percentile, perSecond, ratio, row } from "./report.mjs";

const STEPS = 3;
const RUNS = 6_000;
/** The peer is slower: each measurement takes about as long. */
const PEER_SHARE = 0.2;
const IN_FLIGHT = [50, 100, 400];
const TX_SAMPLES = 300;
const PARKED = 1_000_000;
const TASKS = 40_000;
const CALL_MS_MAX = 900_000;
const TARGETS = { ratio: 10, txMs: 2, parked: 0.9 };

export async function processes(bench) {
  const { tasks: runs = RUNS, rounds } = bench;
  const ours = { call: [], tx: [] };
  const peer = new Map(IN_FLIGHT.map((inFlight) => [inFlight, []]));
  for (let round = 1; round <= rounds; round++) {
    for (const kind of ["call", "tx"]) {
      ours[kind].push(await ofPawl(bench, kind, runs));
      bench.say(`round ${round}: pawl, ${kind} steps: ${Math.round(ours[kind].at(-1))}/s`);
    }
    for (const inFlight of IN_FLIGHT) {
      const rate = await ofPeer(bench, inFlight, Math.ceil(runs * PEER_SHARE));
      bench.say(`round ${round}: dbos, ${inFlight} in flight: ${Math.round(rate)} steps/s`);
      peer.get(inFlight).push(rate);
    }
  }
  const dbos = Math.max(...[...peer.values()].map(median));
  const steps = { unit: "steps/s", peers: { dbos } };
  return [
    row({ ...steps, name: "3 call steps", pawl: median(ours.call), target: TARGETS.ratio }),
    row({ ...steps, name: "3 tx steps", pawl: median(ours.tx) }),
    await idleTx(bench),
    await besideParked(bench),
  ];
}

async function ofPawl(bench, kind, runs) {
  return withSubject(bench, "pawl-processes", { kind }, async (child) => {
    await child.call("run", Math.ceil(runs / 10)); // warms up
    return perSecond(runs * STEPS, await child.call("run", runs));
  });
}

async function ofPeer(bench, inFlight, runs) {
  return withSubject(bench, "dbos", { inFlight }, async (child) => {
    await child.call("run", Math.ceil(runs / 10));
    return perSecond(runs * STEPS, await child.call("run", runs));
  });
}

async function idleTx(bench) {
  const delays = await withSubject(bench, "pawl-processes", { kind: "tx" }, (child) =>
    child.call("idleTx", TX_SAMPLES),
  );
  const [p50, p99] = [0.5, 0.99].map((share) => percentile(delays, share));
  bench.say(`one tx step, nothing else: p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`);
  const one = measured({ name: "one tx step, idle, p50", unit: "ms", value: p50 });
  return { ...one, p99: Number(p99.toFixed(2)), target: TARGETS.txMs };
}

/** Jobs drained with and without runs that are parked, in turns, in one database. */
async function besideParked(bench) {
  const parked = Math.ceil(PARKED * bench.scale);
  const rates = await withSubject(bench, "pawl-processes", { kind: "call" }, async (child) => {
    await child.call("drain", TASKS / 4);
    const without = [];
    const beside = [];
    for (let round = 1; round <= bench.rounds; round++)
      without.push(perSecond(TASKS, await child.call("drain", TASKS)));
    await child.call("park", parked);
    await child.call("drain", TASKS / 4);
    for (let round = 1; round <= bench.rounds; round++)
      beside.push(perSecond(TASKS, await child.call("drain", TASKS)));
    return { without: median(without), beside: median(beside) };
  });
  bench.say(
    `drain: ${Math.round(rates.without)}/s, beside ${parked} parked runs ${Math.round(rates.beside)}/s`,
  );
  return {
    ...measured({
      name: `drain beside ${parked} parked runs`,
      unit: "tasks/s",
      value: rates.beside,
      digits: 0,
    }),
    without: Math.round(rates.without),
    ratio: ratio(rates.beside, rates.without),
    target: TARGETS.parked,
  };
}

/** A peer takes its time. */
function withSubject({ server }, module, settings, work) {
  return withOne(server, module, settings, work, { callMsMax: CALL_MS_MAX });
}
