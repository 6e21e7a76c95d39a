/** Turns a scope off and on, and says what came of it. */

import type { Duration } from "../../../base/duration.ts";
import { type Groups, isHeldToo, scopesIn } from "../../../base/scope.ts";
import type { Act } from "../../../operate/sql.ts";
import { iso } from "../../../operate/table.ts";
import type { Desk } from "../../../operate/verb.ts";
import type { Field } from "../../../options/field.ts";
import { type End, end, flag } from "../../../options/kinds.ts";
import { groupsOf } from "../../groups/sql.ts";
import { offHere, stillRunning, switches, switchOff, switchOn, untilOff } from "./sql.ts";
import type { TurnedOff, TurnedOn } from "./switches.ts";
import { untilStopped } from "./until-stopped.ts";

export const OFF_OPTIONS: {
  readonly until: Field<Date | Duration, End>;
  readonly wait: Field<boolean>;
} = {
  until: end("turned on again at this time, or after this duration, such as 2h"),
  wait: flag("wait until nothing of it runs any more; it stays off if the wait is interrupted"),
};

export interface Off {
  scope: string;
  until?: End;
  wait?: boolean;
  act: Act;
}

export async function turnOff(desk: Desk, { scope, until, wait, act }: Off): Promise<TurnedOff> {
  const { store } = desk;
  await switchOff(store, { ...act, scope, ...until });
  await untilOff(store, scope);
  const now =
    wait === true
      ? await untilStopped(desk, scope)
      : (await switches(store)).find((row) => row.scope === scope);
  const { until: end = null, running = 0, leases = [], batches = 0 } = now ?? {};
  return { scope, until: end, running, leases, batches };
}

export function offText(off: TurnedOff): string {
  const end = off.until === null ? "" : ` until ${iso(off.until)}`;
  const left = stillRunning(off);
  return `${off.scope}: off${end}, ${left === "" ? "nothing of it runs" : `still running: ${left}`}`;
}

export async function turnOn({ store }: Desk, scope: string, act: Act): Promise<TurnedOn> {
  const wasOff = await switchOn(store, { ...act, scope });
  const groups = await groupsOf(store);
  const holds = (one: string) => scope === "all" || isHeldBy(scope, one, groups);
  const stillOff = (await switches(store)).filter((row) => isHeldBy(scope, row.scope, groups));
  const hosts = (await offHere(store)).filter(({ scopes }) =>
    scopes.some((one) => one === scope || holds(one)),
  );
  return { scope, wasOff, stillOff, hosts };
}

/** Whether another switch holds it too, or some of it. */
function isHeldBy(scope: string, by: string, groups: Groups): boolean {
  if (by === scope) return false;
  const holders = scopesIn(by, groups);
  return scopesIn(scope, groups).some((one) =>
    holders.some((holder) => holder === one || isHeldToo(one, holder)),
  );
}

export function onText({ scope, wasOff, stillOff, hosts }: TurnedOn): string {
  const still = [
    ...stillOff.map((row) => `${row.scope} is still off by ${row.offBy}`),
    ...hosts.map((row) => `still off on host ${row.host}: ${row.scopes.join(", ")}`),
  ];
  return [`${scope}: ${wasOff ? "on" : "was not off"}`, ...still].join("; ");
}
