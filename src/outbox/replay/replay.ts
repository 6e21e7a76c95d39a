/** Replays as people ask for them: what is selected is checked here, before anything is written. */

import { type Duration, durationMs } from "../../base/duration.ts";
import { PawlError, shown } from "../../base/errors.ts";
import { refuseUnknownOptions } from "../../base/options.ts";
import type { Act } from "../../kernel/people/audit/sql.ts";
import type { Executor } from "../../store/executor.ts";
import { events } from "../sql.ts";
import {
  planReplay,
  type ReplayPlanRow,
  type ReplayRow,
  type ReplaySelection,
  replays,
  startReplay,
} from "./sql.ts";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const PATTERN = /^[A-Za-z0-9_.:*-]{1,200}$/;
const RATE_TEXT = /^(\d{1,6})\/(\d*(?:ms|s|m|h|d))$/;
const RATE_DEFAULT = { limit: 100, per: "1s" } as const;
const RATE_LIMIT_MAX = 100_000;
const RATE_PER_MS_MAX = 86_400_000;
const OPTIONS = ["event", "name", "from", "to", "destinations", "dead", "routed", "all", "rate"];

export interface ReplayOptions {
  /** The id of one event. */
  event?: string;
  /** A name, `*` for any run of characters: `order.*`. */
  name?: string;
  /** Only events that occurred at this time or later. */
  from?: Date;
  /** Only events that occurred before this time. */
  to?: Date;
  /** Only to these; default each that an event was delivered to before. */
  destinations?: readonly string[];
  /** Only deliveries that are dead: their dead letters go back. */
  dead?: boolean;
  /** To the destinations that routes name now, also when an event was not delivered there before. */
  routed?: boolean;
  /** Needed where no event, name, time or `dead` selects anything: every event there is. */
  all?: boolean;
  /** Deliveries made at most, such as `"50/s"` or `"1000/m"`; default `"100/s"`. */
  rate?: string | { limit: number; per?: Duration };
}

/** How a message names the call and its options: those of the API, or of the command line. */
export interface Naming {
  call: string;
  option: (name: string) => string;
}

const OF_CODE: Naming = { call: "replay", option: (name) => `\`${name}\`` };

/** @throws PawlError `invalid_option` */
export function replaySelection(options: ReplayOptions, naming: Naming = OF_CODE): ReplaySelection {
  refuseUnknownOptions(naming.call, options, OPTIONS);
  const { event, name, from, to, destinations, dead = false, routed = false } = options;
  checkCombination(options, naming);
  if (event !== undefined && !UUID.test(String(event)))
    throw refused(naming, "event", "the UUID of an event", event);
  if (name !== undefined && !PATTERN.test(String(name)))
    throw refused(naming, "name", 'an event name such as "order.*"', name);
  for (const [key, time] of Object.entries({ from, to })) {
    if (time !== undefined && !(time instanceof Date && !Number.isNaN(time.getTime())))
      throw refused(naming, key, "a Date", time);
  }
  if (from !== undefined && to !== undefined && from >= to)
    throw refused(naming, "from", `before ${to.toISOString()}`, from.toISOString());
  if (destinations !== undefined && !areNames(destinations))
    throw refused(naming, "destinations", "names of destinations", destinations);
  return {
    event: event?.toLowerCase(),
    like_pattern: name?.replaceAll("_", "\\_").replaceAll("*", "%"),
    from,
    to,
    destinations,
    routed,
    dead,
    ...replayRate(options.rate ?? RATE_DEFAULT, naming),
  };
}

function checkCombination(options: ReplayOptions, { call, option }: Naming): void {
  const { event, name, from, to, dead = false, routed = false, all = false } = options;
  const isFiltered = name !== undefined || from !== undefined || to !== undefined;
  const refuse = (what: string) => new PawlError("invalid_option", `${call}: ${what}`);
  if (event === undefined && !isFiltered && !dead && !all) {
    const some = ["event", "name", "from", "to"].map(option).join(", ");
    throw refuse(
      `nothing is selected; give ${some} or ${option("dead")}, or ${option("all")} for every event there is`,
    );
  }
  if (event !== undefined && (isFiltered || all)) {
    throw refuse(`both ${option("event")} and what selects several events are given; give one`);
  }
  if (all && isFiltered)
    throw refuse(`both ${option("all")} and a filter are given; leave ${option("all")} out`);
  if (dead && routed) {
    throw refuse(
      `both ${option("dead")} and ${option("routed")} are given; a dead letter goes back to where it was going`,
    );
  }
}

function areNames(names: readonly unknown[]): boolean {
  return Array.isArray(names) && names.length > 0 && names.every((one) => typeof one === "string");
}

function refused(naming: Naming, name: string, expected: string, value: unknown): PawlError {
  return new PawlError(
    "invalid_option",
    `${naming.call}: expected ${naming.option(name)} to be ${expected}, got ${shown(value)}`,
    { data: { option: name } },
  );
}

/** `"100/s"`, `"1000/m"`, `"1/10s"`. @throws PawlError `invalid_option` */
function replayRate(
  rate: string | { limit: number; per?: Duration },
  naming: Naming,
): { limit: number; per_ms: number } {
  if (typeof rate === "object") refuseUnknownOptions(`${naming.call}.rate`, rate, ["limit", "per"]);
  const { limit, per = "1s" } = typeof rate === "string" ? rateOf(rate) : rate;
  const perMs = Number.isInteger(limit) ? durationMs(per, "rate.per") : 0;
  if (limit >= 1 && limit <= RATE_LIMIT_MAX && perMs >= 1 && perMs <= RATE_PER_MS_MAX)
    return { limit, per_ms: perMs };
  const expected = `1 to ${RATE_LIMIT_MAX} deliveries in at most a day, such as "100/s" or "1000/m"`;
  throw refused(naming, "rate", expected, rate);
}

function rateOf(text: string): { limit: number; per: Duration } {
  const [, limit, per = ""] = RATE_TEXT.exec(text) ?? [];
  return { limit: Number(limit), per: /^\d/.test(per) ? per : `1${per}` };
}

/**
 * Starts a replay; any worker works it off.
 * @throws PawlError `event_not_found`, `unknown_destination`, `invalid_option` when nothing of one event can be replayed
 */
export async function replay(
  executor: Executor,
  selection: ReplaySelection,
  act: Act,
): Promise<ReplayRow> {
  if (selection.event !== undefined) await requireSomething(executor, selection.event, selection);
  const id = await startReplay(executor, selection, act);
  const [row] = await replays(executor, { id, limit: 1 });
  if (row === undefined)
    throw new PawlError("database_error", "replay: the database answered no row");
  return row;
}

/** Somebody who names an event wants to know at once why nothing would come of it. */
async function requireSomething(
  executor: Executor,
  event: string,
  selection: ReplaySelection,
): Promise<void> {
  const plan = await planReplay(executor, selection);
  if (plan.some((row) => row.made + row.retried > 0)) return;
  const [found] = await events(executor, { id: event, limit: 1 });
  if (found === undefined) {
    throw new PawlError("event_not_found", `event ${event}: not there; see \`pawl events list\``, {
      data: { id: event },
    });
  }
  throw new PawlError(
    "invalid_option",
    `event ${event}: nothing to replay: ${whyNothing(found.routed_at, plan, selection)}`,
  );
}

function whyNothing(
  routedAt: Date | null,
  plan: readonly ReplayPlanRow[],
  { destinations, dead, routed }: ReplaySelection,
): string {
  const where = destinations === undefined ? "" : ` to ${destinations.join(", ")}`;
  if (routedAt === null) return "it is not routed yet";
  if (plan.length > 0) return `its delivery${where} has not ended yet`;
  if (dead) return `no delivery of it${where} is dead`;
  if (routed) return "no route takes it now; see `pawl routes list`";
  return `it was not delivered${where} before; add \`routed\` to send it where routes say now`;
}
