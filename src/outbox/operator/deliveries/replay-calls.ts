/** The client's short calls for replays; `pawl.deliveries` does the same. */

import { PawlError } from "../../../base/errors.ts";
import { refuseOptions, refuseUnknownOptions } from "../../../base/options.ts";
import type { ActOptions } from "../../../operate/verb.ts";
import { REPLAY_FIELDS } from "../../replay/fields.ts";
import type { ReplayOptions } from "../../replay/replay.ts";
import type { ReplayPlanRow, ReplayRow } from "../../replay/sql.ts";
import type { Deliveries } from "./deliveries.ts";

const LISTED_MAX = 1_000;
const OPTIONS = Object.keys(REPLAY_FIELDS);

export interface ReplayCallOptions extends ReplayOptions, ActOptions {}
export type PlanReplayOptions = ReplayOptions;

export interface Replays {
  /**
   * The same as `pawl.deliveries.replay`. Returns the replay at its start.
   * @throws PawlError `invalid_option`, `event_not_found`, `unknown_destination`
   */
  replay(options: ReplayCallOptions): Promise<ReplayRow>;
  /** Returns what a replay would do, by destination; changes nothing. */
  planReplay(options: PlanReplayOptions): Promise<ReplayPlanRow[]>;
  /** Returns the latest 1,000 replays, latest first. */
  replays(): Promise<ReplayRow[]>;
  /** Stops a replay; the deliveries it has made go on. Returns true if it was running; undefined if there is none. */
  stopReplay(id: string, options?: ActOptions): Promise<boolean | undefined>;
}

export function replayCalls(deliveries: Deliveries): Replays {
  return {
    replay: async (options) => {
      refuseUnknownOptions("replay", options, [...OPTIONS, "by", "why"]);
      const replayed = await deliveries.replay({ ...options, dryRun: false });
      if (!replayed.dryRun) return replayed.replay;
      throw new PawlError("invalid_option", "replay: no option `dryRun`; see `planReplay`");
    },
    planReplay: async (options) => {
      refuseUnknownOptions("planReplay", options, OPTIONS);
      const planned = await deliveries.replay({ ...options, dryRun: true });
      return planned.dryRun ? planned.destinations : [];
    },
    replays: async (...more: unknown[]) => {
      refuseOptions("replays", more);
      return deliveries.replays.list({ limit: LISTED_MAX });
    },
    stopReplay: async (id, options = {}) => {
      refuseUnknownOptions("stopReplay", options, ["by", "why"]);
      try {
        return (await deliveries.replays.stop(id, options)).wasRunning;
      } catch (error) {
        if (error instanceof PawlError && error.code === "replay_not_found") return undefined;
        throw error;
      }
    },
  };
}
