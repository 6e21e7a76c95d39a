/** What `pawl.events` offers. */

import type { ActOptions, Desk } from "../../../operate/verb.ts";
import type { Pruned } from "../../prune.ts";
import type { RecordOptions } from "../../record.ts";
import type { DeliveryRow, EventRow } from "../../sql.ts";

export interface EventsDesk extends Desk {
  maxPayloadBytes: number;
  /** Registers what the app defines, unless this process has. Without a config, what the database knows counts. */
  registered: () => Promise<void>;
}

export interface ListEvents {
  /** An event name; `*` matches any characters: `order.*`. */
  name?: string;
  /** Only events that no route matched. */
  unrouted?: boolean;
  /** Maximum number of events, up to 10,000; default 50. */
  limit?: number;
}

export interface ShownEvent {
  event: EventRow;
  deliveries: Omit<DeliveryRow, "eventName">[];
}

export interface RouteEvents extends ActOptions {
  /** An event name; `*` matches any characters: `order.*`. */
  name?: string;
  /** All unrouted events; required without ids and `name`. */
  all?: boolean;
  /** Maximum number of events, oldest first; default and maximum 100,000. */
  limit?: number;
  /** Counts the events, and changes nothing. */
  dryRun?: boolean;
}

export interface PruneEvents extends ActOptions {
  /** Removes events routed more than this many days ago; events with waiting or dead deliveries stay. */
  days: number;
  /** Counts what would be removed, and removes nothing. */
  dryRun?: boolean;
}

/** `pawl.events`. */
export interface Events {
  /** Returns events, newest first. */
  list(options?: ListEvents): Promise<EventRow[]>;
  /** Returns an event with its deliveries; undefined if there is none. */
  show(id: string): Promise<ShownEvent | undefined>;
  /** Records an event by hand: the same as `pawl.record` without `tx`, and the audit says who did it. */
  record(name: string, event: RecordOptions, options?: ActOptions): Promise<{ id: string }>;
  /**
   * Routes unrouted events again: those with these ids, those of a `name`, or `all: true`. If one id has a route, none is
   * changed.
   * @throws PawlError `event_not_found`
   */
  route(
    ids?: string | readonly string[],
    options?: RouteEvents,
  ): Promise<{ dryRun: boolean; count: number }>;
  route(options: RouteEvents): Promise<{ dryRun: boolean; count: number }>;
  /** Removes old events with their deliveries. */
  prune(options: PruneEvents): Promise<Pruned & { dryRun: boolean }>;
}
