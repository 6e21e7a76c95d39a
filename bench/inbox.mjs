// `inbox`: events from an in-process source into the inbox, and from there to storage, by one worker process; beside them
// the loop that inserts and commits each event. And the memory of a worker that loads and stores for long.
import { startSubject } from "./child.mjs";
import { measured, median, perSecond, row } from "./report.mjs";

const EVENTS = 200_000;
const NAIVE_EVENTS = 5_000;
const WARM_UP_EVENTS = 5_000;
const PAGE = 1_000;
const LONG_EVENTS = 2_000_000;
/** Of the long run, whose memory is compared between them. */
const STEPS = 8;
const CALL_MS_MAX = 600_000;

export async function inbox(bench) {
  const { only, rounds, say, tasks: events = EVENTS } = bench;
  const rates = { load: [], store: [], handle: [], naiveLoad: [], naiveStore: [] };
  for (let round = 1; round <= rounds; round++) {
    if (only.test("inbox")) {
      const naive = await rate(bench, "naive-inbox", {}, Math.min(NAIVE_EVENTS, events));
      const pawl = await rate(bench, "pawl-inbox", {}, events);
      const handled = await rate(bench, "pawl-inbox", { handled: true }, events);
      rates.naiveLoad.push(naive.load);
      rates.naiveStore.push(naive.store);
      rates.load.push(pawl.load);
      rates.store.push(pawl.store);
      rates.handle.push(handled.store);
      say(
        `round ${round}: into the inbox ${show(pawl.load)}/s (naive ${show(naive.load)}), to storage ${show(pawl.store)}/s, through a handler ${show(handled.store)}/s (naive ${show(naive.store)})`,
      );
    }
  }
  const rows = [];
  if (rates.load.length > 0) {
    const naiveStore = median(rates.naiveStore);
    rows.push(
      compared("source to inbox", rates.load, median(rates.naiveLoad)),
      compared("inbox to storage", rates.store, naiveStore),
      compared("inbox to a handler's table", rates.handle, naiveStore),
    );
  }
  if (only.test("memory")) rows.push(await memory(bench));
  return rows;
}

function compared(name, rates, naive) {
  return {
    ...row({ name, unit: "events/s", pawl: median(rates), peers: { naive } }),
    target: 40_000,
    page: PAGE,
    rounds: rates.map(Math.round),
  };
}

function rate({ server }, module, settings, events) {
  return server.withDatabase((url) =>
    withSubject(module, { url, page: PAGE, ...settings }, async (subject) => {
      const warmUp = Math.min(WARM_UP_EVENTS, events);
      await subject.call("load", { events: warmUp });
      await subject.call("store");
      const load = perSecond(events, await subject.call("load", { events }));
      const store = perSecond(events, await subject.call("store"));
      await subject.call("check");
      return { load, store };
    }),
  );
}

/** Flat means: the end is not above what the first step had taken. */
function memory({ server, scale, say }) {
  const step = Math.max(Math.round((LONG_EVENTS * scale) / STEPS), PAGE);
  return server.withDatabase((url) =>
    withSubject("pawl-inbox", { url, page: PAGE }, async (pawl) => {
      const megabytes = [];
      for (let done = 1; done <= STEPS; done++) {
        await pawl.call("both", { events: step });
        megabytes.push((await pawl.call("memory")) / 1_048_576);
        say(`${done * step} events loaded and stored: ${megabytes.at(-1).toFixed(0)} MB`);
      }
      await pawl.call("check");
      return {
        ...measured({ name: "memory over the long run", unit: "MB", value: megabytes.at(-1) }),
        events: step * STEPS,
        steps: megabytes.map(Math.round),
      };
    }),
  );
}

async function withSubject(module, settings, work) {
  const child = await startSubject(module, settings, { callMsMax: CALL_MS_MAX });
  try {
    return await work(child);
  } finally {
    await child.call("close").catch(() => undefined);
    await child.end();
  }
}

const show = (rate) => Math.round(rate).toLocaleString("en");
