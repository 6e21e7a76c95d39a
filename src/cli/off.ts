/** `pawl off` and `pawl on`: switches for the whole fleet. Off means that nothing of the scope starts any more. */

import type { Command } from "commander";
import type { Act } from "../kernel/people/audit/sql.ts";
import {
  type OffHereRow,
  offHere,
  type SwitchRow,
  stillRunning,
  switches,
  switchOff,
  switchOn,
} from "../kernel/people/gate/sql.ts";
import type { Store } from "../store/store.ts";
import { actOf, withAct } from "./act.ts";
import { command, does, withStore } from "./command.ts";
import { untilStopped } from "./drain.ts";
import type { Answer } from "./output.ts";
import { requireScope } from "./scope.ts";
import { iso, table } from "./table.ts";
import { type End, timeOrDuration } from "./values.ts";

export interface OffCall extends Act {
  until?: End;
  wait?: boolean;
}

export function offCommand(): Command {
  const made = command(
    "off [scope]",
    "Turn a scope off: nothing of it starts any more, anywhere; without a scope, list what is off",
    [
      ["pawl off all --wait", "before maintenance; exit code 0 says that nothing runs any more"],
      ['pawl off queue:low --why "erp down" --until 30m', "on again by itself"],
      ["pawl off", "what is off, by whom, and what of it still runs"],
    ],
  );
  return does<OffCall>(withOffOptions(made), (call, options) => {
    const [text] = call.args;
    return withStore(call, async (store) =>
      text === undefined ? list(store) : turnOff(store, await requireScope(store, text), options),
    );
  });
}

export function onCommand(): Command {
  const made = command("on <scope>", "Turn a scope on again", [
    ["pawl on queue:low", "its tasks start at once"],
  ]);
  return does<Act>(withAct(made), (call, options) =>
    withStore(call, async (store) =>
      turnOn(store, await requireScope(store, call.args[0] ?? ""), options),
    ),
  );
}

/** As `off` and `queues pause` take them. */
export function withOffOptions(made: Command): Command {
  return withAct(made)
    .option(
      "--until <time>",
      "on again at this time, or after this duration; a bare number is seconds",
      timeOrDuration("--until"),
    )
    .option("--wait", "return when nothing of it runs any more; an interrupted wait leaves it off");
}

export async function turnOff(store: Store, scope: string, options: OffCall): Promise<Answer> {
  await switchOff(store, { ...actOf(options), scope, ...options.until });
  if (options.wait === true) await untilStopped(store, scope);
  const now = (await switches(store)).find((row) => row.scope === scope);
  const { until = null, running = 0, leases = [], batches = 0 } = now ?? {};
  const end = until === null ? "" : ` until ${iso(until)}`;
  const left = now === undefined ? "" : stillRunning(now);
  return {
    json: { scope, until, running, leases, batches },
    text: `${scope}: off${end}, ${left === "" ? "nothing of it runs" : `still running: ${left}`}`,
  };
}

export async function turnOn(store: Store, scope: string, act: Act): Promise<Answer> {
  const wasOff = await switchOn(store, { ...actOf(act), scope });
  const holding = (await switches(store)).filter((row) => row.scope === "all" && scope !== "all");
  const hosts = (await offHere(store)).filter(({ scopes }) =>
    scopes.some((one) => one === "all" || one === scope || scope === "all"),
  );
  const still = [
    ...holding.map((row) => `all is still off by ${row.off_by}`),
    ...hosts.map((row) => `still off on host ${row.host}: ${row.scopes.join(", ")}`),
  ];
  return {
    json: { scope, wasOff, stillOff: holding, hosts },
    text: [`${scope}: ${wasOff ? "on" : "was not off"}`, ...still].join("; "),
  };
}

async function list(store: Store): Promise<Answer> {
  const [fleet, hosts] = await Promise.all([switches(store), offHere(store)]);
  return { json: { switches: fleet, hosts }, text: listText(fleet, hosts) };
}

function listText(fleet: readonly SwitchRow[], hosts: readonly OffHereRow[]): string {
  const rows = [
    ...fleet.map((row) => ({ ...row, where: "everywhere", left: stillRunning(row) || "nothing" })),
    ...hosts.flatMap(({ host, scopes }) => scopes.map((scope) => onHost(scope, host))),
  ];
  return table(rows, [
    { head: "SCOPE", value: (row) => row.scope },
    { head: "WHERE", value: (row) => row.where },
    { head: "RUNNING", value: (row) => row.left },
    { head: "BY", value: (row) => row.off_by },
    { head: "SINCE", value: (row) => iso(row.since) },
    { head: "UNTIL", value: (row) => iso(row.until) },
    { head: "WHY", value: (row) => row.why },
  ]);
}

/** Nobody can tell from here who set the file or the variable, and when. */
function onHost(scope: string, host: string) {
  const unknown = { left: null, off_by: null, since: null, until: null, why: null };
  return { scope, where: `host ${host}`, ...unknown };
}
