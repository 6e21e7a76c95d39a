import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { defineSource, SourceUnavailable } from "../../src/index.ts";
import type { Arrivals } from "../support/arrivals-child.ts";
import { bundle } from "../support/bundle.ts";
import { fleet } from "../support/fleet.ts";
import { events, inboxApp } from "../support/inbox-app.ts";
import { GAP_MS, pacedApp } from "../support/paced-child.ts";
import { size } from "../support/size.ts";

const LOADERS = 8;
const REQUESTS = size(300, 1_000);

/** Its URL, and what it noted once enough requests have arrived. */
async function arrivalsServer(): Promise<{ url: string; arrived: Promise<Arrivals> }> {
  const program = bundle(join(import.meta.dirname, "../support/arrivals-child.ts"));
  const numbers = {
    PAWL_TEST_REQUESTS: String(REQUESTS),
    PAWL_TEST_LOADERS: String(LOADERS),
  };
  const env = { ...process.env, ...numbers };
  const child = fork(program.path, { execArgv: [], env });
  onTestFinished(async () => {
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
    program.remove();
  });
  const [url] = (await once(child, "message")) as [string];
  return { url, arrived: once(child, "message").then(([arrivals]) => arrivals as Arrivals) };
}

test(`R39 R40: ${REQUESTS} requests of eight processes reach one source's server one at a time, and no two nearer than the gap`, {
  timeout: 900_000,
}, async () => {
  const { url, arrived } = await arrivalsServer();
  const loaders = await fleet({ app: pacedApp, child: "paced-child.ts", setUp: [] });
  onTestFinished(() => loaders.stop());
  const start = () => loaders.start(1, { PAWL_TEST_ARRIVALS: url });
  await Promise.all(Array.from({ length: LOADERS }, start));
  const { at, most } = await arrived;
  const gaps = at.slice(1).map((time, i) => time - (at[i] ?? 0));
  const least = Math.min(...gaps);
  expect(at).toHaveLength(REQUESTS);
  expect(least).toBeGreaterThanOrEqual(GAP_MS);
  expect(most).toBe(1);
  const loaded = await loaders.pawl.store.rows<{ holder: string; windows: number }>(
    "select holder, count(*)::int as windows from pawl.source_window group by 1",
  );
  expect(loaded).toHaveLength(LOADERS);
  const median = gaps.sort((a, b) => a - b)[gaps.length >> 1] ?? 0;
  console.log(
    `${at.length} requests of ${loaded.length} processes: gaps from ${least.toFixed(2)} ms, median ${median.toFixed(1)} ms`,
  );
});

test("R40: a request that is told to come back later has arrived: the gap counts from that answer too", async () => {
  const gap = 300;
  const arrivals: number[] = [];
  const source = defineSource({
    name: "refusing",
    gap,
    retry: { delay: 1, factor: 1 },
    fetch: async (after) => {
      // the first one takes most of the gap to arrive
      const onTheWayMs = arrivals.length === 0 ? 200 : 0;
      await new Promise((resolve) => setTimeout(resolve, onTheWayMs));
      arrivals.push(performance.now());
      if (arrivals.length === 1) throw new SourceUnavailable("status 429", { sent: "no" });
      return events(Number(after) + 1, 1);
    },
  });
  const { becomes } = await inboxApp([source]);
  await becomes("refusing", { storedCount: 1 });
  const [first = 0, second = 0] = arrivals;
  expect(second - first).toBeGreaterThanOrEqual(gap);
});
