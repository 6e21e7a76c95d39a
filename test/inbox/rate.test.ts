import { expect, onTestFinished, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { loader } from "../../src/inbox/loader.ts";
import { defineSource } from "../../src/index.ts";
import { openSender } from "../../src/requests/sender.ts";
import { inboxApp } from "../support/inbox-app.ts";
import { until } from "../support/until.ts";

const LOADERS = 8;
const GAP_MS = 20;
const REQUESTS = 150;

test("R39 R40: eight loaders ask one source one at a time, and never sooner than the gap, by the server's clock", async () => {
  let running = 0;
  let most = 0;
  const starts: number[] = [];
  const source = defineSource({
    name: "paced",
    gap: GAP_MS,
    limit: 1,
    idle: 1,
    fetch: async (after) => {
      starts.push(performance.now());
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setTimeout(resolve, 3));
      running -= 1;
      // nothing more now: its lease is let go, and any of them may be next
      return { events: [{ id: String(Number(after) + 1), payload: null }], more: false };
    },
  });
  const { pawl } = await inboxApp([source], { work: false });
  const loaders = Array.from({ length: LOADERS }, (_, i) =>
    loader({
      executor: pawl.store,
      sources: [source],
      http: openSender(),
      log: silentLogger,
      payloadBytesMax: 1_000_000,
      holder: `loader ${i}`,
      isOffHere: async () => false,
    }),
  );
  onTestFinished(async () => {
    await Promise.all(loaders.map((one) => one.stop()));
  });
  for (const one of loaders) one.start();
  await until("enough requests", () => starts.length >= REQUESTS);
  const gaps = starts.slice(1).map((at, i) => at - (starts[i] ?? 0));
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual(GAP_MS);
  expect(most).toBe(1);
  const loaded = await pawl.store.rows("select distinct holder from pawl.source_window");
  expect(loaded.length).toBeGreaterThan(1);
});
