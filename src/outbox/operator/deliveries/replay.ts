/** The verb `replay`: delivers again what was delivered before. Workers do it in the background. */

import { dryRun } from "../../../kernel/operator/fields.ts";
import { requireKnown } from "../../../kernel/operator/known.ts";
import { iso, table } from "../../../operate/table.ts";
import type { Desk } from "../../../operate/verb.ts";
import { type Verb, verb } from "../../../operate/verb.ts";
import type { Store } from "../../../store/store.ts";
import { REPLAY_FIELDS } from "../../replay/fields.ts";
import { replay, replaySelection } from "../../replay/replay.ts";
import { planReplay, type ReplayPlanRow } from "../../replay/sql.ts";
import { destinationIds } from "../../sql.ts";
import type { Deliveries, Replayed } from "./deliveries.ts";
import { rateText } from "./replays.ts";

const MORE = `Workers make the deliveries in the background, the oldest event first; they carry the event's id and are marked as a
replay. A delivery that has not ended yet is left alone, and a dead one goes back instead of a second delivery.`;

export const replayVerb: Verb<Deliveries["replay"], Desk> = verb({
  help: "Deliver events again, to the same destinations as before",
  more: MORE,
  examples: [
    ["pawl deliveries replay --event 019a0b6e-2f31-7c55-9d0a-3f1b8e6a4c21", "one event"],
    ['pawl deliveries replay --name "order.*" --from 2030-01-31T00:00:00Z --dry-run', "how many"],
    ["pawl deliveries replay --dead --destination erp --rate 20/s", "what died there"],
    ["pawl deliveries replay --all --routed --destination crm", "history, for a new destination"],
  ],
  input: { ...REPLAY_FIELDS, dryRun },
  changes: true,
  check: (input, calling) => {
    replaySelection(input, calling);
  },
  run: async ({ store }: Desk, input, calling): Promise<Replayed> => {
    const selection = replaySelection(input, calling);
    await requireDestinations(store, input.destinations ?? []);
    if (input.dryRun !== true)
      return { dryRun: false, replay: await replay(store, selection, calling) };
    const plan = await planReplay(store, selection);
    return { dryRun: true, count: countOf(plan), destinations: plan };
  },
  json: (replayed) => ({ action: "replay", ...replayed }),
  text: (replayed) =>
    replayed.dryRun
      ? planText(replayed.destinations)
      : `replay ${replayed.replay.id} started, ${rateText(replayed.replay)} at most; see \`pawl deliveries replays\``,
});

async function requireDestinations(store: Store, names: readonly string[]): Promise<void> {
  const known = (await destinationIds(store)).map((row) => row.name);
  for (const name of names) requireKnown("unknown_destination", name, known);
}

function countOf(plan: readonly ReplayPlanRow[]): number {
  return plan.reduce((sum, row) => sum + row.made + row.retried, 0);
}

function planText(plan: readonly ReplayPlanRow[]): string {
  const count = countOf(plan);
  const rows = table(plan, [
    { head: "DESTINATION", value: (row) => row.destination },
    { head: "NEW", value: (row) => row.made, align: "right" },
    { head: "DEAD", value: (row) => row.retried, align: "right" },
    { head: "LEFT ALONE", value: (row) => row.leftAlone, align: "right" },
    { head: "FIRST EVENT", value: (row) => iso(row.firstAt) },
    { head: "LAST EVENT", value: (row) => iso(row.lastAt) },
  ]);
  const sum = `would make ${count} ${count === 1 ? "delivery" : "deliveries"}`;
  return plan.length === 0 ? sum : `${rows}\n\n${sum}`;
}
