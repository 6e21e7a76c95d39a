/** What `pawl.deliveries` offers. */

import type { AttemptRow } from "../../../kernel/operator/sql.ts";
import type { TaskId } from "../../../kernel/task.ts";
import type { ActOptions } from "../../../operate/verb.ts";
import type { ReplayOptions } from "../../replay/replay.ts";
import type { countByStatus, ReplayPlanRow, ReplayRow } from "../../replay/sql.ts";
import type { DeliveryRow } from "../../sql.ts";

export interface ListDeliveries {
  /** Only deliveries to this destination. */
  destination?: string;
  /** Maximum number of rows, up to 10,000; default 50. */
  limit?: number;
}

export interface ShownDelivery {
  delivery: DeliveryRow & { result: unknown };
  /** Attempts before the last one, oldest first. */
  attempts: AttemptRow[];
}

export interface Rescued {
  /** Number of tasks, of all workers together. */
  rescued: number;
  workers: { workerId: string; tasks: number }[];
}

export interface ReplayDeliveries extends ReplayOptions, ActOptions {
  /** Returns what would happen, and changes nothing. */
  dryRun?: boolean;
}

export type Replayed =
  | { dryRun: false; replay: ReplayRow }
  | { dryRun: true; count: number; destinations: ReplayPlanRow[] };

export interface StoppedReplay {
  /** False if it had ended already. */
  wasRunning: boolean;
  replay: ReplayRow;
}

/** `pawl.deliveries.replays`. */
export interface DeliveryReplays {
  /** Returns replays, latest first; `limit` is up to 10,000, default 20. */
  list(options?: { limit?: number }): Promise<ReplayRow[]>;
  /** Stops a replay; the deliveries it has made go on. @throws PawlError `replay_not_found` */
  stop(id: string, options?: ActOptions): Promise<StoppedReplay>;
}

export interface DispatchDeliveries extends ActOptions {
  /** Maximum number of deliveries, up to 10,000; default 100. */
  limit?: number;
  /** Only to these destinations. */
  destination?: readonly string[];
}

export interface Dispatched {
  dispatched: number;
  destinations: Awaited<ReturnType<typeof countByStatus>>;
}

/** `pawl.deliveries`. */
export interface Deliveries {
  /** Returns deliveries, newest first. @throws PawlError `unknown_destination` */
  list(options?: ListDeliveries): Promise<DeliveryRow[]>;
  /** Returns one delivery, by the id of its task; undefined if there is none. */
  show(id: TaskId): Promise<ShownDelivery | undefined>;
  /** Gives back at once the tasks of workers whose leases have ended. Live workers do this by themselves. */
  rescue(options?: ActOptions): Promise<Rescued>;
  /**
   * Delivers events again, oldest first, marked as a replay. Any worker makes the deliveries in the background. Returns the
   * replay at its start.
   * @throws PawlError `invalid_option`, `event_not_found`, `unknown_destination`
   */
  replay(options: ReplayDeliveries): Promise<Replayed>;
  readonly replays: DeliveryReplays;
  /** Routes and delivers one batch now, in this process. @throws PawlError `unknown_destination` */
  dispatch(options?: DispatchDeliveries): Promise<Dispatched>;
}
