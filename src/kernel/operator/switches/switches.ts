/** What `pawl.switches` and `pawl.queues` offer: turning things off and on. */

import type { Duration } from "../../../base/duration.ts";
import type { ActOptions } from "../../../operate/verb.ts";
import type { GroupRow } from "../../groups/sql.ts";
import type { OffHereRow, QueueRow, SwitchRow } from "./sql.ts";

export interface TurnOff extends ActOptions {
  /** Turned on again automatically at this time or after this duration. Default: when an operator turns it on. */
  until?: Date | Duration;
  /** Waits until nothing of it runs any more. */
  wait?: boolean;
}

export interface TurnedOff {
  scope: string;
  /** null: until an operator turns it on. */
  until: Date | null;
  /** Number of its tasks that still run. */
  running: number;
  /** For `all`, sources and commands: named leases under which something still runs, such as `source:<name>`. */
  leases: string[];
  /** For `all`: number of batches of events that are still being stored. */
  batches: number;
}

export interface TurnedOn {
  scope: string;
  wasOff: boolean;
  /** Switches that still hold it. */
  stillOff: SwitchRow[];
  /** Hosts where a file or `PAWL_OFF` still holds it. */
  hosts: OffHereRow[];
}

/** What is off: for all workers, and on single hosts. */
export interface Switched {
  switches: SwitchRow[];
  hosts: OffHereRow[];
}

/**
 * `pawl.switches`. A scope is `all`, `group:<name>`, `queue:<name>`, `kind:<name>` (a job in all queues), `process:<name>`, `destination:<name>`,
 * `source:<name>`, `schedule:<name>`, `route:<id>` or `command:<name>`.
 */
export interface Switches {
  list(): Promise<Switched>;
  /** Returns the groups that apps define, with their members. */
  groups(): Promise<GroupRow[]>;
  /**
   * Turns a scope off: when this resolves, no worker starts anything of it.
   * @throws PawlError `invalid_option`; for an unknown name `unknown_queue`, `unknown_destination` …
   */
  off(scope: string, options?: TurnOff): Promise<TurnedOff>;
  /** Turns a scope on. @throws PawlError as `off` */
  on(scope: string, options?: ActOptions): Promise<TurnedOn>;
}

/** `pawl.queues`. */
export interface Queues {
  /** Returns queues in the order of definition, with what holds them. */
  list(): Promise<QueueRow[]>;
  /** Turns `queue:<name>` off. @throws PawlError `unknown_queue` */
  pause(name: string, options?: TurnOff): Promise<TurnedOff>;
  /** Turns `queue:<name>` on and closes its breakers. @throws PawlError `unknown_queue` */
  resume(name: string, options?: ActOptions): Promise<TurnedOn>;
}
