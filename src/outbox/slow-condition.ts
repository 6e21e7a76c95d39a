/**
 * Finds the condition that holds up the router, and turns its route off: each is asked alone about the events that could
 * not be routed, in statements with a time limit of their own, until one event and one route are left.
 */

import { isTimedOut, limited } from "../store/limited.ts";
import type { Store } from "../store/store.ts";
import { type ConditionalRoute, conditionalRoutes, disableRoute, judgeEvents } from "./sql.ts";

/** What a condition may take for one event. */
const CONDITION_MS = 100;
/** And for several, while the slow one is looked for. */
const CONDITIONS_MS = 1_000;
/** All that looking may take. */
const SEARCH_MS = 10_000;
const LIST_MS = 5_000;
/** A machine that stands still for a moment does not make a condition slow. */
const TRIES = 3;

export interface SlowCondition {
  route: ConditionalRoute;
  event: string;
}

export interface Search {
  store: Store;
  /** Of the next events. */
  limit: number;
  isStopping: () => boolean;
}

/** The first of them; undefined when none is, or the time was not enough. */
export async function slowCondition({
  store,
  limit,
  isStopping,
}: Search): Promise<SlowCondition | undefined> {
  const end = performance.now() + SEARCH_MS;
  const isOver = () => isStopping() || performance.now() > end;
  const routes = await limited(store, LIST_MS, (tx) => conditionalRoutes(tx, limit));
  for (const route of routes) {
    if (isOver()) return undefined;
    const event = await slowEvent(store, route, isOver);
    if (event !== undefined) return { route, event };
  }
  return undefined;
}

/** Halves what takes too long, the earlier half first. */
async function slowEvent(
  store: Store,
  { id, events }: ConditionalRoute,
  isOver: () => boolean,
): Promise<string | undefined> {
  const open = [events];
  for (let some = open.pop(); some !== undefined && !isOver(); some = open.pop()) {
    const [first] = some;
    if (first === undefined || !(await isTooSlow(store, id, some))) continue;
    if (some.length === 1) return first;
    const half = Math.ceil(some.length / 2);
    open.push(some.slice(half), some.slice(0, half));
  }
  return undefined;
}

async function isTooSlow(store: Store, route: number, events: readonly string[]): Promise<boolean> {
  const limitMs = events.length === 1 ? CONDITION_MS : CONDITIONS_MS;
  const tries = events.length === 1 ? TRIES : 1;
  for (let tried = 0; tried < tries; tried += 1) {
    try {
      await limited(store, limitMs, (tx) => judgeEvents(tx, route, events));
      return false;
    } catch (thrown) {
      if (!isTimedOut(thrown)) throw thrown;
    }
  }
  return true;
}

/** @returns why; undefined when somebody else was faster */
export async function turnOffSlow(
  store: Store,
  { route, event }: SlowCondition,
): Promise<string | undefined> {
  const why = `its condition took longer than ${CONDITION_MS} ms for event ${event}`;
  const wasOn = await disableRoute(store, { route: route.id, event, why });
  return wasOn ? why : undefined;
}
