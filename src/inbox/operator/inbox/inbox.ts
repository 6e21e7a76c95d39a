/** What `pawl.inbox` offers. */

import type { ActOptions } from "../../../operate/verb.ts";
import type { InboxRow } from "../sql.ts";

export interface ListInbox {
  source?: string;
  /** Default `set_aside`. */
  state?: "waiting" | "set_aside";
  /** Maximum number of events, up to 10,000; default 100. */
  limit?: number;
}

/** Without numbers `all: true` is required; `source` limits it to one source. */
export interface ChangeInbox extends ActOptions {
  all?: boolean;
  source?: string;
  /** Returns what would change, and changes nothing. */
  dryRun?: boolean;
}

/** `pawl.inbox`. */
export interface Inbox {
  /** Returns events that were set aside, or that wait to be stored; oldest first. @throws PawlError `source_not_found` */
  list(options?: ListInbox): Promise<InboxRow[]>;
  /** Returns one event, or undefined if it is not in the inbox (any more). */
  show(number: string): Promise<InboxRow | undefined>;
  /**
   * Lets these events be stored again and returns their numbers. If one is not there, none is changed.
   * @throws PawlError `inbox_event_not_found`
   */
  retry(numbers: readonly string[], options?: ChangeInbox): Promise<string[]>;
  /** Retries all events that were set aside, or all of one source. */
  retry(options: ChangeInbox & { all: true }): Promise<string[]>;
  /** Removes these events; their ids and the reason stay in the audit. @throws PawlError `inbox_event_not_found` */
  remove(numbers: readonly string[], options: ChangeInbox & { why: string }): Promise<string[]>;
  remove(options: ChangeInbox & { all: true; why: string }): Promise<string[]>;
}
