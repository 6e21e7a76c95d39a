import { expect, onTestFinished, test } from "vitest";
import type { Pawl } from "../../src/index.ts";
import { type Fleet, fleet } from "../support/fleet.ts";
import { inboxApp, POINTS, SET_UP, SOURCES, WINDOW_LIMIT } from "../support/inbox-child.ts";
import { type Feed, feed } from "../support/inbox-feed.ts";
import { until } from "../support/until.ts";

const LOADERS = 8;
const EVENTS = 1_500;
const WINDOWS = EVENTS / WINDOW_LIMIT;
const RANDOM_KILLS = 15;

test("R41 R43 R46: loaders killed at every point leave each event stored once, ask for no kept answer again, and let nothing halt unseen", {
  timeout: 240_000,
}, async () => {
  const server = await feed(EVENTS);
  onTestFinished(() => server.close());
  const loaders = await fleet({
    app: inboxApp,
    child: "inbox-child.ts",
    setUp: SET_UP,
  });
  onTestFinished(() => loaders.stop());
  const { pawl } = loaders;
  const decided = await raceWithKills(loaders, server, pawl);
  await expectStoredOnce(pawl);
  await expectNoKeptAnswerAskedAgain(pawl, server);
  // the windows that were cut off after being sent are what a person decided about
  expect(decided).toBeGreaterThan(0);
});

/** Answers how often a held source was retried by its operator. */
async function raceWithKills(loaders: Fleet, server: Feed, pawl: Pawl): Promise<number> {
  const start = (kill = "") =>
    loaders.start(1, { PAWL_TEST_FEED: server.url, PAWL_TEST_KILL: kill });
  const kills = POINTS.flatMap((point) => [`${point}:1`, `${point}:3`, `${point}:6`]);
  await Promise.all(Array.from({ length: LOADERS }, () => start(kills.shift())));
  let decided = 0;
  let randomKills = RANDOM_KILLS;
  await until(
    "every event is stored",
    async () => {
      if (loaders.live.length < LOADERS) await start(kills.shift());
      else if (randomKills > 0) {
        randomKills -= 1;
        await loaders.kill(loaders.live[randomKills % LOADERS] ?? 0);
      }
      for (const source of await pawl.sources.list()) {
        if (source.status !== "held") continue;
        expect(source.error).toMatch(/may have been executed/);
        expect(source.held_fault).toBe("unknown");
        await pawl.sources.retry(source.name, { why: "the feed only reads" });
        decided += 1;
      }
      const left = kills.length + randomKills;
      return left === 0 && (await isAllStored(pawl));
    },
    200_000,
  );
  return decided;
}

async function isAllStored(pawl: Pawl): Promise<boolean> {
  const rows = await pawl.sources.list();
  return rows.every((row) => row.stored_count === EVENTS && row.stored === String(EVENTS));
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
    "select source, after, at from kept where after <> $1",
    [String(EVENTS)], // the end is asked for again and again
  );
  const pulled = SOURCES.filter((source) => "parse" in source).length;
  expect(kept.length).toBe(pulled * WINDOWS);
  const done = windows.flatMap(({ source, after_cursor: after, ended_at: at }) =>
    at === null ? [] : { source, after, at },
  );
  const late = [...kept, ...done].filter(({ source, after, at }) =>
    server.requests.some((one) => one.source === source && one.after === after && one.at > at),
  );
  expect(late).toEqual([]);
}
