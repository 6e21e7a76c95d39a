/** The noun `switches`: what is off for the fleet. Off means that nothing of the scope starts any more. */

import { iso, table } from "../../../operate/table.ts";
import { type Desk, listing, type Noun, type Verb, verb } from "../../../operate/verb.ts";
import { required } from "../../../options/field.ts";
import { name } from "../../../options/kinds.ts";
import { type GroupRow, groupRows } from "../../groups/sql.ts";
import { requireScope } from "./scope.ts";
import { offHere, stillRunning, switches } from "./sql.ts";
import type { Switched, Switches } from "./switches.ts";
import { OFF_OPTIONS, offText, onText, turnOff, turnOn } from "./turn.ts";

const SCOPE = required(
  name(
    "all, group:<name>, queue:<name>, kind:<name>, process:<name>, destination:<name>, source:<name>, schedule:<name>, route:<id> or command:<name>",
    "scope",
  ),
);

const list: Verb<Switches["list"], Desk> = verb({
  help: "List what is off, who turned it off, and what of it still runs",
  examples: [["pawl switches list", "everywhere, and on single hosts"]],
  input: {},
  run: async ({ store }): Promise<Switched> => {
    const [fleet, hosts] = await Promise.all([switches(store), offHere(store)]);
    return { switches: fleet, hosts };
  },
  text: ({ switches: fleet, hosts }) => {
    const rows = [
      ...fleet.map((row) => ({
        ...row,
        where: "everywhere",
        left: stillRunning(row) || "nothing",
      })),
      ...hosts.flatMap(({ host, scopes }) => scopes.map((scope) => onHost(scope, host))),
    ];
    return table(rows, [
      { head: "SCOPE", value: (row) => row.scope },
      { head: "WHERE", value: (row) => row.where },
      { head: "RUNNING", value: (row) => row.left },
      { head: "BY", value: (row) => row.offBy },
      { head: "SINCE", value: (row) => iso(row.since) },
      { head: "UNTIL", value: (row) => iso(row.until) },
      { head: "WHY", value: (row) => row.why },
    ]);
  },
});

const groups: Verb<Switches["groups"], Desk> = verb({
  help: "List the groups that apps define, with their members",
  examples: [["pawl switches groups", "what `pawl off group:<name>` turns off"]],
  input: {},
  run: ({ store }) => groupRows(store),
  ...listing<GroupRow>("groups", [
    { head: "GROUP", value: (row) => row.name },
    { head: "APP", value: (row) => row.application },
    { head: "MEMBERS", value: (row) => row.members.join(", ") },
  ]),
});

/** Nobody can tell from here who set the file or the variable, and when. */
function onHost(scope: string, host: string) {
  const unknown = { left: null, offBy: null, since: null, until: null, why: null };
  return { scope, where: `host ${host}`, ...unknown };
}

const off: Verb<Switches["off"], Desk> = verb({
  help: "Turn a scope off: no worker starts anything of it any more; without a scope, list what is off",
  examples: [
    ["pawl off all --wait", "before maintenance; exit code 0 says that nothing runs any more"],
    ['pawl off queue:low --why "erp down" --until 30m', "on again automatically"],
    ["pawl off", "what is off, by whom, and what of it still runs"],
  ],
  input: { scope: SCOPE, ...OFF_OPTIONS },
  args: ["scope"],
  changes: true,
  without: "list",
  run: async (desk, { scope, until, wait }, act) =>
    turnOff(desk, {
      scope: await requireScope(desk.store, scope),
      ...(until !== undefined && { until }),
      ...(wait !== undefined && { wait }),
      act,
    }),
  text: offText,
});

const on: Verb<Switches["on"], Desk> = verb({
  help: "Turn a scope on again",
  examples: [["pawl on queue:low", "its tasks start at once"]],
  input: { scope: SCOPE },
  args: ["scope"],
  changes: true,
  run: async (desk, { scope }, act) => turnOn(desk, await requireScope(desk.store, scope), act),
  text: onText,
});

export const switchesNoun: Noun<Switches, Desk> = {
  name: "switches",
  help: "Look at what is off",
  verbs: { list, groups, off, on },
  paths: { off: "off", on: "on" },
};
