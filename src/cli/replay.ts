/** `pawl deliveries replay` and `replays`: delivers again what was delivered before, and looks after that. */

import type { Command } from "commander";
import { PawlError } from "../base/errors.ts";
import type { Act } from "../kernel/people/audit/sql.ts";
import {
  type Naming,
  type ReplayOptions,
  replay,
  replaySelection,
} from "../outbox/replay/replay.ts";
import {
  planReplay,
  type ReplayPlanRow,
  type ReplayRow,
  replays,
  stopReplay,
} from "../outbox/replay/sql.ts";
import { destinationIds } from "../outbox/sql.ts";
import type { Store } from "../store/store.ts";
import { actOf, withAct } from "./act.ts";
import { command, does, withStore } from "./command.ts";
import type { Answer } from "./output.ts";
import { iso, table } from "./table.ts";
import { eventId, isoTime, nameList, requireKnown, wholeNumber } from "./values.ts";

const LIMIT_DEFAULT = 20;
const LIMIT_MAX = 10_000;
const ID_MAX = 2_147_483_647;
const NAMING: Naming = {
  call: "pawl deliveries replay",
  option: (name) => `--${name.replace(/s$/, "")}`,
};

interface Options extends Omit<ReplayOptions, "destinations" | "rate">, Act {
  destination?: string[];
  rate?: string;
  dryRun?: boolean;
}

const AFTER_HELP = `
Workers make the deliveries in the background, the oldest event first; they carry the event's id and are marked as a
replay. What has not ended yet is left alone, and a delivery that is dead goes back instead of a second one beside it.`;

export function replayCommand(): Command {
  const made = command("replay", "Deliver events again, to where they went before", [
    ["pawl deliveries replay --event 019a0b6e-2f31-7c55-9d0a-3f1b8e6a4c21", "one event"],
    ['pawl deliveries replay --name "order.*" --from 2030-01-31T00:00:00Z --dry-run', "how many"],
    ["pawl deliveries replay --dead --destination erp --rate 20/s", "what died there"],
    ["pawl deliveries replay --all --routed --destination crm", "history, for a new destination"],
  ])
    .option("--event <id>", "one event", eventId)
    .option("--name <pattern>", "events of this name; * stands for anything")
    .option("--from <time>", "events that occurred then or later", isoTime("--from"))
    .option("--to <time>", "events that occurred before then", isoTime("--to"))
    .option("--all", "every event there is")
    .option("--dead", "only deliveries that are dead")
    .option("--destination <names>", "only to these: erp,crm", nameList("--destination"))
    .option("--routed", "to where routes say now, not to where they went before")
    .option("--rate <n/time>", "deliveries made at most, such as 20/s or 500/m (default: 100/s)")
    .option("--dry-run", "say what would happen, change nothing")
    .addHelpText("after", AFTER_HELP);
  return does<Options>(withAct(made), (call, options) => {
    const { by, why, dryRun = false, destination, ...rest } = options;
    const given = { ...rest, ...(destination !== undefined && { destinations: destination }) };
    const selection = replaySelection(given, NAMING);
    return withStore(call, async (store) => {
      await requireDestinations(store, destination ?? []);
      if (dryRun) return planned(await planReplay(store, selection));
      return started(await replay(store, selection, actOf({ by, why })));
    });
  });
}

async function requireDestinations(store: Store, names: readonly string[]): Promise<void> {
  const known = (await destinationIds(store)).map((row) => row.name);
  for (const name of names) requireKnown("unknown_destination", name, known);
}

function planned(plan: readonly ReplayPlanRow[]): Answer {
  const count = plan.reduce((sum, row) => sum + row.made + row.retried, 0);
  const rows = table(plan, [
    { head: "DESTINATION", value: (row) => row.destination },
    { head: "NEW", value: (row) => row.made, align: "right" },
    { head: "DEAD", value: (row) => row.retried, align: "right" },
    { head: "LEFT ALONE", value: (row) => row.left_alone, align: "right" },
    { head: "FIRST EVENT", value: (row) => iso(row.first_at) },
    { head: "LAST EVENT", value: (row) => iso(row.last_at) },
  ]);
  const sum = `would make ${count} ${count === 1 ? "delivery" : "deliveries"}`;
  return {
    json: { action: "replay", dryRun: true, count, destinations: plan },
    text: plan.length === 0 ? sum : `${rows}\n\n${sum}`,
  };
}

function started(row: ReplayRow): Answer {
  return {
    json: { action: "replay", dryRun: false, replay: row },
    text: `replay ${row.id} started, ${rateText(row)} at most; see \`pawl deliveries replays\``,
  };
}

export function replaysCommand(): Command {
  return command("replays", "List replays, stop one")
    .addCommand(list(), { isDefault: true })
    .addCommand(stop());
}

function list(): Command {
  const made = command("list", "List replays, the latest first", [
    ["pawl deliveries replays", "how far each is"],
  ]).option("--limit <n>", "at most so many", wholeNumber("--limit", LIMIT_MAX), LIMIT_DEFAULT);
  return does<{ limit: number }>(made, (call, options) =>
    withStore(call, async (store) => {
      const rows = await replays(store, options);
      const text = table(rows, [
        { head: "ID", value: (row) => row.id, align: "right" },
        { head: "STATE", value: (row) => (row.task === "dead" ? "dead" : row.state) },
        { head: "DONE", value: (row) => `${Math.floor(row.share * 100)}%`, align: "right" },
        { head: "MADE", value: (row) => row.made, align: "right" },
        { head: "LEFT ALONE", value: (row) => row.left_alone, align: "right" },
        { head: "RATE", value: rateText },
        { head: "WHAT", value: whatText },
        { head: "STARTED", value: (row) => iso(row.started_at) },
        { head: "BY", value: (row) => row.started_by },
        { head: "TASK", value: (row) => row.task_id, align: "right" },
      ]);
      return { json: { replays: rows }, text };
    }),
  );
}

function whatText(row: ReplayRow): string {
  const { event_id, like_pattern, from_at, to_at, destinations, dead, routed } = row;
  const parts = [
    event_id === null ? undefined : `event ${event_id}`,
    like_pattern?.replaceAll("%", "*").replaceAll("\\_", "_"),
    from_at === null ? undefined : `from ${iso(from_at)}`,
    to_at === null ? undefined : `to ${iso(to_at)}`,
    dead ? "dead" : undefined,
    routed ? "as routed now" : undefined,
    destinations === null ? undefined : `for ${destinations.join(",")}`,
  ].filter((part) => part !== undefined);
  return parts.length === 0 ? "all events" : parts.join(" ");
}

function rateText({ rate_limit, rate_per_ms }: ReplayRow): string {
  const units: Record<number, string> = { 1000: "s", 60000: "m", 3600000: "h" };
  return `${rate_limit}/${units[rate_per_ms] ?? `${rate_per_ms}ms`}`;
}

function stop(): Command {
  const made = command("stop <id>", "Stop a replay; the deliveries that it has made go on", [
    ['pawl deliveries replays stop 3 --why "wrong month"', "nothing more is made"],
  ]);
  return does<Act>(withAct(made), (call, options) => {
    const id = wholeNumber("the id", ID_MAX)(call.args[0] ?? "");
    return withStore(call, async (store) => {
      const wasRunning = await stopReplay(store, id, actOf(options));
      if (wasRunning === undefined) {
        throw new PawlError(
          "replay_not_found",
          `replay ${id}: not there; see \`pawl deliveries replays\``,
          { data: { id } },
        );
      }
      const [row] = await replays(store, { id, limit: 1 });
      const text = wasRunning ? "stopped" : `had ended (${row?.state}) before`;
      return { json: { action: "stop", wasRunning, replay: row }, text: `replay ${id}: ${text}` };
    });
  });
}
