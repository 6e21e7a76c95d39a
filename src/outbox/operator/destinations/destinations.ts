/** What `pawl.destinations` offers. */

import type { Duration } from "../../../base/duration.ts";
import type { ActOptions, Desk } from "../../../operate/verb.ts";
import type { Config } from "../../destinations/config.ts";
import type { DestinationType } from "../../destinations/types.ts";
import type { AddDestination } from "./act.ts";
import type { DestinationInfo } from "./describe.ts";
import type { Rotated, RotateOptions } from "./rotate.ts";
import type { TestBase, TestOptions, TestResult } from "./test-delivery.ts";

export interface DestinationsDesk extends Desk, TestBase {}

/** The destination after the change, and notes about what is missing here but required where workers run. */
export interface ChangedDestination extends DestinationInfo {
  notes: string[];
}

export interface PauseDestination extends ActOptions {
  /** Cancels waiting deliveries and drops new ones. Default: all are held. */
  drop?: boolean;
  /** Turned on again automatically at this time or after this duration. Default: when an operator turns it on. */
  until?: Date | Duration;
  /** Waits until nothing of it runs any more. */
  wait?: boolean;
}

/** `pawl.destinations`. */
export interface Destinations {
  /** Returns all destinations, of code and of operators, ordered by name, secrets masked. */
  list(): Promise<DestinationInfo[]>;
  /** Returns one destination, or undefined if there is none. */
  show(name: string): Promise<DestinationInfo | undefined>;
  /** Returns one type of destinations. @throws PawlError `unknown_destination_type` */
  type(name: string): Promise<DestinationType>;
  /** Returns the types that operators can add, with the fields of their configs. */
  types(): Promise<readonly DestinationType[]>;
  /** Adds a destination. @throws PawlError `duplicate_name`, `unknown_destination_type`, and errors of the config */
  add(destination: AddDestination, options?: ActOptions): Promise<ChangedDestination>;
  /**
   * Changes some fields of the config; null removes one, `"retry.attempts"` sets one part. Waiting deliveries use the new
   * config within seconds.
   * @throws PawlError `unknown_destination`, `owned_by_code`, and errors of the config
   */
  edit(name: string, changes: Config, options?: ActOptions): Promise<ChangedDestination>;
  /**
   * Sends one real event that is not recorded, and returns the exchange. The audit says who sent it.
   * @throws PawlError `unknown_destination`, `event_not_found`
   */
  test(name: string, options?: TestOptions & ActOptions): Promise<TestResult>;
  /** Pauses a destination. Returns how many deliveries were cancelled. @throws PawlError `unknown_destination` */
  pause(name: string, options?: PauseDestination): Promise<{ cancelled: number }>;
  /** Resumes a destination. Returns true if it was off. @throws PawlError `unknown_destination` */
  resume(name: string, options?: ActOptions): Promise<boolean>;
  /** Sets a new secret; for a time the old one signs too. @throws PawlError `unknown_destination`, `owned_by_code` */
  rotate(name: string, options?: RotateOptions & ActOptions): Promise<Rotated>;
  /**
   * Removes a destination and its routes, and cancels waiting deliveries.
   * @throws PawlError `unknown_destination`, `owned_by_code`
   */
  remove(name: string, options?: ActOptions): Promise<{ cancelled: number }>;
}
