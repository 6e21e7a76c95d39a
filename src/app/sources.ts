/** Sources and the inbox for an app's code: the same functions as the command line's, with the app as the one who acts. */

import { hostname } from "node:os";
import { type Duration, durationMs } from "../base/duration.ts";
import { PawlError } from "../base/errors.ts";
import { refuseUnknownOptions } from "../base/options.ts";
import { changeInbox, changeSource, requireSource } from "../inbox/people/act.ts";
import type { PrunedLog } from "../inbox/people/prune-log.ts";
import {
  type ActedSource,
  type InboxRow,
  inboxEvents,
  type SourceState,
  type SourceWindowRow,
  sources,
  sourceWindows,
  type WindowState,
} from "../inbox/people/sql.ts";
import { type WhySource, whySource } from "../inbox/people/why.ts";
import { makePartitions } from "../inbox/sql.ts";
import type { Executor } from "../store/executor.ts";
import type { ActOptions } from "./operate.ts";
import { pruneSourceLog } from "./prune-source-log.ts";

const LIMIT_DEFAULT = 100;
const DONE_DEFAULT: Duration = "7d";
const FAILED_DEFAULT: Duration = "30d";
const MONTHS_DEFAULT = 3;

export interface PruneSourceLogOptions extends ActOptions {
  /** Windows that ended well go after so long; default 7 days. */
  done?: Duration;
  /** The others; default 30 days. */
  failed?: Duration;
  /** Keeps what goes in `source_window_archive`. */
  archive?: boolean;
  /** Ids that handlers have stored go after so long; default: they stay. */
  seen?: Duration;
  dryRun?: boolean;
}

export interface Sources {
  list(): Promise<SourceState[]>;
  /** @throws PawlError `source_not_found`, as all that name one */
  get(name: string): Promise<SourceState>;
  why(name: string): Promise<WhySource>;
  /** The latest first. */
  windows(options?: {
    source?: string;
    state?: WindowState;
    limit?: number;
  }): Promise<SourceWindowRow[]>;
  /** Once this has resolved, no request to it begins, on any worker. What was received is stored. */
  pause(name: string, options?: ActOptions): Promise<ActedSource>;
  resume(name: string, options?: ActOptions): Promise<ActedSource>;
  /** Goes on with a window that is held or failed: parses the page that is kept, or, without one or with `fetch`, asks again. */
  retry(name: string, options?: ActOptions & { fetch?: boolean }): Promise<ActedSource>;
  /** Gives that window up with its page; a new one is reserved at the same cursor. */
  release(name: string, options?: ActOptions): Promise<ActedSource>;
  /** Goes on behind that window: from `to`, or the cursor that its page named. */
  skip(name: string, options: ActOptions & { why: string; to?: string }): Promise<ActedSource>;
  /** Goes back to `to`: its events are asked for again, and those that were stored are dropped. */
  rewind(
    name: string,
    options: ActOptions & { why: string; to: string; confirm: string },
  ): Promise<ActedSource>;
  pruneLog(options?: PruneSourceLogOptions): Promise<PrunedLog>;
  /** Makes the months of the log ahead; answers the names of those that were missing. */
  makePartitions(monthsAhead?: number): Promise<string[]>;
}

export interface Inbox {
  /** Events that were set aside, or those that wait; the oldest first. */
  list(options?: {
    source?: string;
    state?: "waiting" | "set_aside";
    limit?: number;
  }): Promise<InboxRow[]>;
  get(number: string): Promise<InboxRow | undefined>;
  /** Stores them again. @throws PawlError `inbox_event_not_found`, and then none is touched */
  retry(numbers: readonly string[], options?: ActOptions): Promise<string[]>;
  remove(numbers: readonly string[], options: ActOptions & { why: string }): Promise<string[]>;
}

export function sourceCalls(executor: Executor, appName: string): Sources {
  const act = actAs(appName);
  return {
    list: () => sources(executor),
    get: (name) => requireSource(executor, name),
    why: (name) => whySource(executor, name),
    windows: async (options = {}) => {
      refuseUnknownOptions("sources.windows", options, ["source", "state", "limit"]);
      if (options.source !== undefined) await requireSource(executor, options.source);
      return sourceWindows(executor, { limit: LIMIT_DEFAULT, ...options });
    },
    pause: async (name, options = {}) =>
      changeSource(executor, { name, verb: "pause" }, act("pause", options)),
    resume: async (name, options = {}) =>
      changeSource(executor, { name, verb: "resume" }, act("resume", options)),
    retry: async (name, { fetch, ...options } = {}) =>
      changeSource(
        executor,
        { name, verb: "retry", ...(fetch !== undefined && { fetch }) },
        act("retry", options),
      ),
    release: async (name, options = {}) =>
      changeSource(executor, { name, verb: "release" }, act("release", options)),
    skip: async (name, { to, ...options }) =>
      changeSource(
        executor,
        { name, verb: "skip", ...(to !== undefined && { to }) },
        act("skip", options),
      ),
    rewind: async (name, { to, confirm, ...options }) => {
      refuseUnconfirmed(name, confirm);
      return changeSource(executor, { name, verb: "rewind", to }, act("rewind", options));
    },
    pruneLog: async (options = {}) => {
      refuseUnknownOptions("sources.pruneLog", options, [
        "done",
        "failed",
        "archive",
        "seen",
        "dryRun",
        "by",
        "why",
      ]);
      const { done = DONE_DEFAULT, failed = FAILED_DEFAULT, seen, ...rest } = options;
      const { archive = false, dryRun: isDryRun = false, ...by } = rest;
      const seenMs = seen === undefined ? undefined : durationMs(seen, "seen");
      return pruneSourceLog(
        executor,
        {
          doneMs: durationMs(done, "done"),
          failedMs: durationMs(failed, "failed"),
          archive,
          ...(seenMs !== undefined && { seenMs }),
          isDryRun,
        },
        act("sources.pruneLog", by),
      );
    },
    makePartitions: (monthsAhead = MONTHS_DEFAULT) => makePartitions(executor, monthsAhead),
  };
}

export function inboxCalls(executor: Executor, appName: string): Inbox {
  const act = actAs(appName);
  return {
    list: (options = {}) => inboxEvents(executor, { limit: LIMIT_DEFAULT, ...options }),
    get: async (number) => (await inboxEvents(executor, { numbers: [number], limit: 1 }))[0],
    retry: async (numbers, options = {}) =>
      changeInbox(executor, "retry", numbers, act("retry", options)),
    remove: async (numbers, options) =>
      changeInbox(executor, "remove", numbers, act("remove", options)),
  };
}

function actAs(
  appName: string,
): (verb: string, options: ActOptions) => ActOptions & { by: string } {
  return (verb, options) => {
    refuseUnknownOptions(verb, options, ["by", "why"]);
    return {
      by: options.by ?? `${appName}@${hostname()}`,
      ...(options.why !== undefined && { why: options.why }),
    };
  };
}

/** What was typed must be the source's name: going back is rarely meant. @throws PawlError `invalid_option` */
export function refuseUnconfirmed(name: string, typed: string | undefined): void {
  if (typed === name) return;
  throw new PawlError(
    "invalid_option",
    `source "${name}": rewind asks for its events again; confirm it by typing its name, "${name}"`,
    { data: { option: "confirm" } },
  );
}
