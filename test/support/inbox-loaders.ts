/** Processes that load from a feed of their own, for scenes in which one of them is killed or frozen. */

import type { Pawl } from "../../src/index.ts";
import { type Fleet, fleet } from "./fleet.ts";
import { inboxApp, SET_UP } from "./inbox-child.ts";
import { type Feed, feed } from "./inbox-feed.ts";

/** Long enough that on a busy machine a loader that lives keeps it. */
const LEASE_MS = 5_000;

export interface Loaders {
  pawl: Pawl;
  server: Feed;
  loaders: Fleet;
  /** Answers its pid. `kill`: at which point of which window, as `inbox-child.ts` has it; `signal`: by what, default SIGKILL. */
  start: (kill?: string, signal?: string) => Promise<number>;
}

/** The feed has so many events of each source. */
export async function withLoaders(
  events: number,
  work: (scene: Loaders) => Promise<void>,
): Promise<void> {
  const server = await feed(events);
  const loaders = await fleet({ app: inboxApp, child: "inbox-child.ts", setUp: SET_UP });
  const start = (kill = "", signal = "SIGKILL") =>
    loaders.start(1, {
      PAWL_TEST_FEED: server.url,
      PAWL_TEST_LEASE_MS: String(LEASE_MS),
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
