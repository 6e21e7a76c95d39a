import { expect, test } from "vitest";
import {
  EFFECT_TABLE,
  effectApp,
  effectJob,
  KILL_POINTS,
  type KillPoint,
} from "../support/effect-child.ts";
import { type Fleet, fleet } from "../support/fleet.ts";
import { count, LONG_LEASE } from "../support/kernel.ts";
import { type Random, random } from "../support/random.ts";
import { size } from "../support/size.ts";
import { until } from "../support/until.ts";

const TASKS = size(1_200, 10_000);
const KILLS = size(12, 100);
const WORKERS = 4;
const CONCURRENCY = 5;
const PATIENCE_MS = 300_000;

type Death = KillPoint | "at random";

/** Each named point as often as the others, and as often as all of them at a moment that nobody chose. */
function deaths(): Death[] {
  return Array.from({ length: KILLS }, (_, i) =>
    i % 2 === 0 ? "at random" : (KILL_POINTS[((i - 1) / 2) % KILL_POINTS.length] ?? "at random"),
  );
}

/** The task in whose handler the process died is lost with it. */
const isBeforeCommit = (death: Death) => death === "after the effect" || death === "before commit";

/** Starts a process and sees it die after a few tasks, while there are more. */
async function killedAfterSome(workers: Fleet, death: Death, { whole }: Random): Promise<void> {
  const effects = whole(1, 40);
  const pid = await workers.start(CONCURRENCY, {
    PAWL_TEST_KILL: `${death}:${effects}:${whole(0, 20)}`,
  });
  await workers.ended(pid);
  await workers.bury(pid);
}

test(`R98: ${TASKS} tasks whose effect is in their own transaction, ${KILLS} workers killed in the middle, before, at and after COMMIT: each effect once, none missing`, async () => {
  const chance = random();
  const workers = await fleet({
    app: effectApp,
    child: "effect-child.ts",
    setUp: [...EFFECT_TABLE, LONG_LEASE],
  });
  const { store } = workers.pawl;
  try {
    const all = await workers.pawl.enqueueMany(
      effectJob,
      Array.from({ length: TASKS }, () => ({})),
    );
    const queue = deaths();
    const slot = async () => {
      for (let death = queue.pop(); death !== undefined; death = queue.pop())
        await killedAfterSome(workers, death, chance);
    };
    await Promise.all(Array.from({ length: WORKERS }, slot));
    // not before the last one is dead: they would leave it nothing to die of
    await Promise.all(Array.from({ length: WORKERS }, () => workers.start(CONCURRENCY)));
    const isDone = async () => (await count(store, "task")) === 0;
    await until("nothing is left to do", isDone, PATIENCE_MS);
    const [lost] = await store.rows<{ n: number }>(
      "select count(*)::int as n from pawl.attempt where outcome = 'lost'",
    );
    console.log(`seed ${chance.seed}: ${KILLS} kills, ${lost?.n} attempts lost with them`);
    const effects = await store.rows<{ task: string }>("select task from effect order by task");
    expect(effects.map((row) => row.task)).toEqual(all.map((one) => one.id));
    expect(await count(store, "finished")).toBe(TASKS);
    // a claim goes with the turn after the transaction that settled the last of its tasks
    await until("no claim is left", async () => (await count(store, "claim")) === 0);
    expect(lost?.n).toBeGreaterThanOrEqual(deaths().filter(isBeforeCommit).length);
  } finally {
    await workers.stop();
  }
}, 900_000);
