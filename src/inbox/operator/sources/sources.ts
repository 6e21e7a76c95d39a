/** What `pawl.sources` offers. */

import type { Duration } from "../../../base/duration.ts";
import type { TurnedOff, TurnedOn, TurnOff } from "../../../kernel/operator/switches/switches.ts";
import type { ActOptions } from "../../../operate/verb.ts";
import type { PrunedLog } from "../prune-log.ts";
import type { ActedSource, SourceState, SourceWindowRow, WindowState } from "../sql.ts";
import type { WhySource } from "../why.ts";

export interface ShownSource {
  source: SourceState;
  /** The last five windows. */
  windows: SourceWindowRow[];
}

export interface ListWindows {
  source?: string;
  state?: WindowState;
  /** Maximum number of windows, up to 10,000; default 100. */
  limit?: number;
}

export interface PruneSourceLogOptions extends ActOptions {
  /** Age at which windows that ended well are removed; default 7 days. */
  done?: Duration;
  /** Age at which all other windows are removed; default 30 days. */
  failed?: Duration;
  /** Copies removed rows to `source_window_archive`. */
  archive?: boolean;
  /** Age at which ids of events that handlers stored are removed; default: never. */
  seen?: Duration;
  dryRun?: boolean;
}

/** `pawl.sources`. */
export interface Sources {
  list(): Promise<SourceState[]>;
  /** Returns one source, or undefined if there is none. */
  get(name: string): Promise<SourceState | undefined>;
  /** Returns one source with its last windows, or undefined if there is none. */
  show(name: string): Promise<ShownSource | undefined>;
  /** Returns why a source is in its state. This and all methods below with a `name` throw PawlError `source_not_found`. */
  why(name: string): Promise<WhySource>;
  /** Returns windows, latest first. */
  windows(options?: ListWindows): Promise<SourceWindowRow[]>;
  /** Pauses loading: when this resolves, no worker starts a request to the source. Events already received are still stored. */
  pause(name: string, options?: TurnOff): Promise<TurnedOff>;
  resume(name: string, options?: ActOptions): Promise<TurnedOn>;
  /**
   * Continues a window that is held or failed: parses the stored page again. Without a page, or with `fetch`, requests it
   * again.
   */
  retry(name: string, options?: ActOptions & { fetch?: boolean }): Promise<ActedSource>;
  /** Discards the window that is held or failed, and its page; the same cursor is fetched again. */
  release(name: string, options?: ActOptions): Promise<ActedSource>;
  /** Skips that window: continues at `to`, or at the cursor that its page named. */
  skip(name: string, options: ActOptions & { why: string; to?: string }): Promise<ActedSource>;
  /** Goes back to `to`: later events are fetched again, and those already stored are dropped as duplicates. */
  rewind(
    name: string,
    options: ActOptions & { why: string; to: string; confirm: string },
  ): Promise<ActedSource>;
  pruneLog(options?: PruneSourceLogOptions): Promise<PrunedLog>;
  /** Creates the partitions of the log for the coming months (default 3) and returns the names of the new ones. */
  makePartitions(monthsAhead?: number, options?: ActOptions): Promise<string[]>;
}
