/** Replays as callers ask for them: the selection is checked here, before anything is written. */

import type { Duration } from "../../base/duration.ts";
import { PawlError } from "../../base/errors.ts";
import type { Act } from "../../operate/sql.ts";
import type { Calling } from "../../operate/verb.ts";
import type { ValueOf } from "../../options/field.ts";
import type { Store } from "../../store/store.ts";
import { events } from "../sql.ts";
import type { REPLAY_FIELDS } from "./fields.ts";
import {
  planReplay,
  type ReplayPlanRow,
  type ReplayRow,
  type ReplaySelection,
  replays,
  startReplay,
} from "./sql.ts";

export interface ReplayOptions {
  /** The id of one event. */
  event?: string;
  /** An event name; `*` matches any characters: `order.*`. */
  name?: string;
  /** Only events that occurred at this time or later. */
  from?: Date;
  /** Only events that occurred before this time. */
  to?: Date;
  /** Only to these destinations. Default: every destination to which an event was delivered before. */
  destinations?: readonly string[];
  /** Only dead deliveries: their dead letters go back. */
  dead?: boolean;
  /** To the destinations that routes name now, even if an event was not delivered there before. */
  routed?: boolean;
  /** All events; required if no event, name, time or `dead` selects any. */
  all?: boolean;
  /** Maximum rate of deliveries, such as `"50/s"` or `"1000/m"`; default `"100/s"`. */
  rate?: string | { limit: number; per?: Duration };
}

export type ReadReplay = ValueOf<typeof REPLAY_FIELDS>;
type Naming = Pick<Calling, "where" | "label">;

/** @throws PawlError `invalid_option` for combinations that make no sense */
export function replaySelection(options: ReadReplay, naming: Naming): ReplaySelection {
  checkCombination(options, naming);
  const { event, name, from, to, destinations, dead = false, routed = false, rate } = options;
  return { event, like_pattern: name, from, to, destinations, routed, dead, ...rate };
}

function checkCombination(options: ReadReplay, { where, label }: Naming): void {
  const { event, name, from, to, dead = false, routed = false, all = false } = options;
  const isFiltered = name !== undefined || from !== undefined || to !== undefined;
  const refuse = (what: string) => new PawlError("invalid_option", `${where}: ${what}`);
  if (event === undefined && !isFiltered && !dead && !all) {
    const some = ["event", "name", "from", "to"].map(label).join(", ");
    throw refuse(
      `nothing is selected; give ${some} or ${label("dead")}, or ${label("all")} for all events`,
    );
  }
  if (event !== undefined && (isFiltered || all)) {
    throw refuse(`both ${label("event")} and what selects several events are given; give one`);
  }
  if (all && isFiltered)
    throw refuse(`both ${label("all")} and a filter are given; leave ${label("all")} out`);
  if (dead && routed) {
    throw refuse(
      `both ${label("dead")} and ${label("routed")} are given; a dead letter goes back to where it was going`,
    );
  }
  if (from !== undefined && to !== undefined && from >= to)
    throw refuse(
      `expected ${label("from")} to be before ${to.toISOString()}, got ${from.toISOString()}`,
    );
}

/**
 * Starts a replay; any worker runs it.
 * @throws PawlError `event_not_found`, `unknown_destination`, `invalid_option` if nothing of one event can be replayed
 */
export async function replay(
  executor: Store,
  selection: ReplaySelection,
  act: Act,
): Promise<ReplayRow> {
  if (selection.event !== undefined) await requireSomething(executor, selection.event, selection);
  const id = await startReplay(executor, selection, act);
  const [row] = await replays(executor, { id, limit: 1 });
  if (row === undefined)
    throw new PawlError("database_error", "replay: the database returned no row");
  return row;
}

/** Somebody who names an event wants to know at once why nothing would come of it. */
async function requireSomething(
  executor: Store,
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
    `event ${event}: nothing to replay: ${whyNothing(found.routedAt, plan, selection)}`,
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
  if (routed) return "no route matches it now; see `pawl routes list`";
  return `it was not delivered${where} before; add \`routed\` to send it where routes say now`;
}
