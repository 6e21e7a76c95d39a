/** Replays for an app's code: the same functions as the command line's, with the app as the one who acts. */

import { hostname } from "node:os";
import { PawlError, shown } from "../base/errors.ts";
import { refuseUnknownOptions } from "../base/options.ts";
import { type ReplayOptions, replay, replaySelection } from "../outbox/replay/replay.ts";
import {
  planReplay,
  type ReplayPlanRow,
  type ReplayRow,
  replays,
  stopReplay,
} from "../outbox/replay/sql.ts";
import type { Executor } from "../store/executor.ts";
import type { ActOptions } from "./operate.ts";

const LISTED_MAX = 1_000;
const ID_MAX = 2_147_483_647;

export interface ReplayCallOptions extends ReplayOptions, ActOptions {}
export type PlanReplayOptions = ReplayOptions;

export interface Replays {
  /**
   * Delivers events again that were delivered before, marked as a replay, the oldest first, in the background: any
   * worker makes the deliveries. Answers the replay as it begins.
   * @throws PawlError `invalid_option`, `event_not_found`, `unknown_destination`
   */
  replay(options: ReplayCallOptions): Promise<ReplayRow>;
  /** What a replay would do, by destination; changes nothing. */
  planReplay(options: PlanReplayOptions): Promise<ReplayPlanRow[]>;
  /** The latest first, at most 1,000. */
  replays(): Promise<ReplayRow[]>;
  /** What it has made goes on. Answers whether it was running; undefined when there is none. */
  stopReplay(id: number, options?: ActOptions): Promise<boolean | undefined>;
}

export function replayCalls(executor: Executor, appName: string): Replays {
  const act = ({ by, why }: ActOptions) => ({ by: by ?? `${appName}@${hostname()}`, why });
  return {
    replay: async ({ by, why, ...options }) =>
      replay(
        executor,
        replaySelection(options),
        act({ ...(by !== undefined && { by }), ...(why !== undefined && { why }) }),
      ),
    planReplay: async (options) => planReplay(executor, replaySelection(options)),
    replays: () => replays(executor, { limit: LISTED_MAX }),
    stopReplay: async (id, options = {}) => {
      refuseUnknownOptions("stopReplay", options, ["by", "why"]);
      if (!Number.isInteger(id) || id < 1 || id > ID_MAX) {
        throw new PawlError(
          "invalid_option",
          `stopReplay: expected the number of a replay, got ${shown(id)}`,
        );
      }
      return stopReplay(executor, id, act(options));
    },
  };
}
