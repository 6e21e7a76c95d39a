// `pinned`: rounds of tasks while an open transaction keeps every dead row version in place. What counts is how much of
// the first rounds' rate is left in the last ones. One process and one database a subject, rounds interleaved.
import { startSubject } from "./child.mjs";
import { analyze, warmUp } from "./queue.mjs";
import { median, perSecond, ratio, row } from "./report.mjs";
import { tryQuery } from "./server.mjs";

const ROUNDS = 12;
/** Of the first rounds and of the last, the medians are compared: one slow moment must not decide. */
const ENDS = 3;
const TASKS = 50_000;
const SUBJECTS = [
  { subject: "pawl", settings: { concurrency: 1_000 } },
  { subject: "graphile-worker", settings: { concurrency: 24 } },
];

export async function pinned(bench) {
  const rates = new Map(SUBJECTS.map(({ subject }) => [subject, []]));
  await withPinned(bench, SUBJECTS, [], async (open) => {
    for (let round = 1; round <= ROUNDS; round++) {
      for (const { subject, child, url } of open) {
        const rate = await oneRound(bench, child, url);
        bench.say(`round ${round}: ${subject}, horizon pinned: drain ${Math.round(rate)}/s`);
        rates.get(subject).push(rate);
      }
    }
    const drained = ROUNDS * (bench.tasks ?? TASKS);
    for (const { child, warm } of open) await child.call("check", warm + drained);
  });
  const [pawl, graphile] = SUBJECTS.map(({ subject }) => rates.get(subject));
  const first = (all) => median(all.slice(0, ENDS));
  const last = (all) => median(all.slice(-ENDS));
  const kept = (all) => ratio(last(all), first(all));
  return [
    {
      ...row({
        name: "pinned",
        unit: "tasks/s",
        pawl: last(pawl),
        peers: { "graphile-worker": last(graphile) },
      }),
      ratio: kept(pawl),
      peerRatios: { "graphile-worker": kept(graphile) },
      rounds: { pawl: pawl.map(Math.round), "graphile-worker": graphile.map(Math.round) },
    },
  ];
}

async function oneRound({ server, tasks = TASKS }, child, url) {
  await child.call("enqueue", tasks);
  await analyze(server, url);
  return perSecond(tasks, await child.call("drain", tasks));
}

/** Opens each subject, warmed up, with a transaction in its database that has taken its snapshot. */
async function withPinned(bench, [next, ...rest], open, work) {
  if (next === undefined) {
    await tryQuery(bench.server.admin, "checkpoint");
    await work(open);
    return;
  }
  const { server, turns } = bench;
  await server.withDatabase(async (url) => {
    const child = await startSubject(next.subject, { url, ...next.settings, ...turns });
    try {
      const warm = await warmUp(child);
      await server.withClient(url, async (holder) => {
        await holder.query("begin isolation level repeatable read");
        await holder.query("select 1 from pg_class limit 1");
        const one = { subject: next.subject, child, url, warm };
        await withPinned(bench, rest, [...open, one], work);
        await holder.query("commit");
      });
    } finally {
      await child.end();
    }
  });
}
