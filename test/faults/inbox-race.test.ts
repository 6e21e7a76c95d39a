import { expect, onTestFinished, test } from "vitest";
import type { Pawl } from "../../src/index.ts";
import { type Fleet, fleet } from "../support/fleet.ts";
import { inboxApp, POINTS, SET_UP, SOURCES, WINDOW_LIMIT } from "../support/inbox-child.ts";
import { type Feed, feed } from "../support/inbox-feed.ts";
import { endLeasesOf } from "../support/inbox-loaders.ts";
import { type Random, random } from "../support/random.ts";
import { until } from "../support/until.ts";

const LOADERS = 8;
const EVENTS = 1_500;
const WINDOWS = EVENTS / WINDOW_LIMIT;
/** At which time that a process comes to a point it dies there. */
const TIMES = [1, 1, 2, 3, 5];
const POINT_KILLS = POINTS.flatMap((point) => TIMES.map((times) => `${point}:${times}`));
const KILLS = 50;
const RANDOM_KILLS = KILLS - POINT_KILLS.length;
/** The rest of the loaders are there to be killed at random. */
const ARMED_MAX = 4;
/** None of those that live loses it on a busy machine; that of a dead one is ended. */
const LEASE_MS = 60_000;
/** At most, from one random kill to the next. */
const REQUESTS_BETWEEN = 12;

test("R41 R43 R46: 50 loaders killed at every point and at random leave each event stored once, ask for no kept answer again, and let nothing halt unseen", {
  timeout: 900_000,
}, async () => {
  const chance = random();
  const server = await feed(0);
  onTestFinished(() => server.close());
  const loaders = await fleet({ app: inboxApp, child: "inbox-child.ts", setUp: SET_UP });
  onTestFinished(() => loaders.stop());
  const { pawl } = loaders;
  const { kills, decided } = await raceWithKills(loaders, server, chance);
  expect(loaders.killed).toHaveLength(KILLS);
  expect(Object.fromEntries(kills)).toEqual({
    ...Object.fromEntries(POINTS.map((point) => [point, TIMES.length])),
    random: RANDOM_KILLS,
  });
  await expectStoredOnce(pawl);
  await expectNoKeptAnswerAskedAgain(pawl, server);
  // the windows that were cut off after being sent are what a person decided about
  expect(decided).toBeGreaterThan(0);
  console.log(
    `seed ${chance.seed}: ${KILLS} loaders killed (${RANDOM_KILLS} at random), ${server.requests.length} requests, ${decided} unknown outcomes decided by a person`,
  );
});

interface Race {
  /** How many died at each point, or `random`ly. */
  kills: Map<string, number>;
  /** How often a held source was retried by its operator. */
  decided: number;
}

/** Until every event is stored; the feed releases events with the kills, so that each meets some. */
async function raceWithKills(loaders: Fleet, server: Feed, chance: Random): Promise<Race> {
  const { pawl } = loaders;
  const crew = openCrew(loaders, server, chance);
  let decided = 0;
  await until(
    "every event is stored",
    async () => {
      crew.refill();
      await crew.killAtRandom();
      await endLeasesOf(pawl, loaders.killed);
      const share = Math.min((loaders.killed.length + 1) / KILLS, 1);
      server.release(Math.ceil(WINDOWS * share) * WINDOW_LIMIT);
      decided += await decide(pawl);
      return loaders.killed.length >= KILLS && (await isAllStored(pawl));
    },
    800_000,
  );
  return { kills: await crew.kills(), decided };
}

/** Keeps so many loaders alive, some of which kill themselves at a point. */
function openCrew(loaders: Fleet, server: Feed, chance: Random) {
  const toArm = [...POINT_KILLS];
  /** By pid, the point at which it will die; `` for none. */
  const started = new Map<number, string>();
  const randomly = new Set<number>();
  const starts: Promise<void>[] = [];
  let starting = 0;
  let randomAt = chance.whole(1, REQUESTS_BETWEEN);
  const isLive = (pid: number) => loaders.live.includes(pid);
  const start = async (kill: string) => {
    starting += 1;
    const pid = await loaders.start(1, {
      PAWL_TEST_FEED: server.url,
      PAWL_TEST_KILL: kill,
      PAWL_TEST_LEASE_MS: String(LEASE_MS),
    });
    starting -= 1;
    started.set(pid, kill);
  };
  return {
    refill: () => {
      const live = [...started].filter(([pid]) => isLive(pid));
      let armed = live.filter(([, kill]) => kill !== "").length;
      for (let count = live.length + starting; count < LOADERS; count += 1) {
        const kill = armed < ARMED_MAX ? (toArm.shift() ?? "") : "";
        if (kill !== "") armed += 1;
        starts.push(start(kill));
      }
    },
    /** After some requests have arrived, one of those that do not kill themselves. */
    killAtRandom: async () => {
      if (randomly.size === RANDOM_KILLS || server.requests.length < randomAt) return;
      const unarmed = [...started].filter(([pid, kill]) => kill === "" && isLive(pid));
      const victim = unarmed[chance.whole(0, unarmed.length - 1)]?.[0];
      if (victim === undefined) return;
      randomAt = server.requests.length + chance.whole(1, REQUESTS_BETWEEN);
      randomly.add(victim);
      await loaders.kill(victim);
    },
    kills: async () => {
      await Promise.all(starts);
      const counts = new Map<string, number>();
      for (const pid of loaders.killed) {
        const [point = ""] = randomly.has(pid) ? ["random"] : (started.get(pid) ?? "").split(":");
        counts.set(point, (counts.get(point) ?? 0) + 1);
      }
      return counts;
    },
  };
}

/** An operator who knows that the feed only reads. Answers how many sources were held. */
async function decide(pawl: Pawl): Promise<number> {
  const held = (await pawl.sources.list()).filter((source) => source.status === "held");
  for (const source of held) {
    expect(source.error).toMatch(/may have been executed/);
    expect(source.heldFault).toBe("unknown");
    await pawl.sources.retry(source.name, { why: "the feed only reads" });
  }
  return held.length;
}

async function isAllStored(pawl: Pawl): Promise<boolean> {
  const rows = await pawl.sources.list();
  return rows.every((row) => row.storedCount === EVENTS && row.stored === String(EVENTS));
}

async function expectStoredOnce(pawl: Pawl): Promise<void> {
  const stored = await pawl.store.rows(
    `select s.name, count(*)::int as events, min(e.event_id::int) as first, max(e.event_id::int) as last
       from pawl.stored_event e join pawl.source s on s.id = e.source_id group by 1 order by 1`,
  );
  const names = SOURCES.filter((source) => source.store === null).map((source) => source.name);
  expect(stored).toEqual(
    names.sort().map((name) => ({ name, events: EVENTS, first: 1, last: EVENTS })),
  );
  const [handled] = await pawl.store.rows(
    "select count(*)::int as rows, count(distinct id)::int as ids from handled",
  );
  expect(handled).toEqual({ rows: EVENTS, ids: EVENTS });
}

/** By the server's count: after an answer was durable, nobody asked for that window any more. */
async function expectNoKeptAnswerAskedAgain(pawl: Pawl, server: Feed): Promise<void> {
  const windows = await pawl.sources.windows({ state: "done", limit: 10_000 });
  expect(windows.length).toBe(SOURCES.length * WINDOWS);
  const kept = await pawl.store.rows<{ source: string; after: string; at: Date }>(
    "select source, after, at from kept",
  );
  const pulled = SOURCES.filter((source) => "parse" in source).length;
  expect(kept.length).toBe(pulled * WINDOWS);
  const done = windows.flatMap(({ source, afterCursor: after, endedAt: at }) =>
    at === null ? [] : { source, after, at },
  );
  const late = [...kept, ...done].filter(({ source, after, at }) =>
    server.requests.some((one) => one.source === source && one.after === after && one.at > at),
  );
  expect(late).toEqual([]);
}
