/** Processes that load from a feed of their own, for scenes in which one of them is killed or frozen. */

import type { Pawl } from "../../src/index.ts";
import { type Fleet, fleet } from "./fleet.ts";
import { inboxApp, SET_UP } from "./inbox-child.ts";
import { type Feed, feed } from "./inbox-feed.ts";

/** So long that a loader keeps it however long a busy machine stands still. */
const LONG_LEASE_MS = 300_000;

export interface Loaders {
  pawl: Pawl;
  server: Feed;
  loaders: Fleet;
  /**
   * Answers its pid. `kill`: at which point of which window, as `inbox-child.ts` has it; `signal`: by what, default
   * SIGKILL. `leaseMs`: of its sources; default longer than any test.
   */
  start: (kill?: string, signal?: string, leaseMs?: number) => Promise<number>;
}

/** Ends what these processes hold, which are dead or frozen, as if the time had passed. */
export async function endLeasesOf(pawl: Pawl, pids: readonly number[]): Promise<void> {
  await pawl.store.rows(
    "update pawl.lease set lease_until = pawl.now() where lease_until > pawl.now() and split_part(owner, ' ', 2) = any ($1)",
    [pids.map(String)],
  );
}

/** The feed has so many events of each source. */
export async function withLoaders(
  events: number,
  work: (scene: Loaders) => Promise<void>,
): Promise<void> {
  const server = await feed(events);
  const loaders = await fleet({ app: inboxApp, child: "inbox-child.ts", setUp: SET_UP });
  const start = (kill = "", signal = "SIGKILL", leaseMs = LONG_LEASE_MS) =>
    loaders.start(1, {
      PAWL_TEST_FEED: server.url,
      PAWL_TEST_LEASE_MS: String(leaseMs),
      PAWL_TEST_KILL: kill,
      PAWL_TEST_SIGNAL: signal,
    });
  try {
    await work({ pawl: loaders.pawl, server, loaders, start });
  } finally {
    await loaders.stop();
    await server.close();
  }
}
