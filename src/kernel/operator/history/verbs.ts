/** The noun `history`: removes tasks whose retention time is over. Workers do the same by themselves. */

import { recordAct } from "../../../operate/sql.ts";
import { table } from "../../../operate/table.ts";
import { type ActOptions, type Desk, type Noun, type Verb, verb } from "../../../operate/verb.ts";
import { flag } from "../../../options/kinds.ts";
import type { Executor } from "../../../store/executor.ts";
import type { PartPruneOptions, PrunedOther } from "../../part.ts";
import { type Pruned, prune as pruneHistory } from "./prune.ts";

export interface PruneHistory extends ActOptions {
  /** Counts what would be removed, and removes nothing. */
  dryRun?: boolean;
}

export interface PrunedHistory extends Pruned {
  dryRun: boolean;
  /** What parts have removed of their own, such as payloads that steps of processes have sent. */
  others: PrunedOther[];
}

export interface PruneDesk extends Desk {
  pruneOthers: (executor: Executor, options: PartPruneOptions) => Promise<PrunedOther[]>;
}

/** `pawl.history`. */
export interface History {
  /** Removes tasks from history whose retention time is over. */
  prune(options?: PruneHistory): Promise<PrunedHistory>;
}

const prune: Verb<History["prune"], PruneDesk> = verb({
  help: "Remove tasks from history, and payloads and results of processes, whose retention time is over",
  examples: [
    ["pawl prune --dry-run", "what would go"],
    ["pawl prune", "now, without waiting for a worker to do it"],
  ],
  input: { dryRun: flag("count what would be removed, remove nothing") },
  changes: true,
  run: async (
    { store, report, pruneOthers }: PruneDesk,
    { dryRun = false },
    act,
  ): Promise<PrunedHistory> => {
    // before: it takes many transactions
    if (!dryRun) await recordAct(store, { ...act, target: "history" });
    const pruned = await pruneHistory(store, {
      isDryRun: dryRun,
      progress: ({ partition, page, pages }) => report(`${partition}: page ${page} of ${pages}`),
    });
    const others = await pruneOthers(store, { isDryRun: dryRun, progress: report });
    report("");
    return { dryRun, ...pruned, others };
  },
  text: ({ dryRun, others, ...pruned }: PrunedHistory) =>
    [textOf(pruned, dryRun), ...others.map((one) => otherText(one, dryRun))].join("\n"),
});

function otherText({ what, action, rows }: PrunedOther, isDryRun: boolean): string {
  const did = action === "delete" ? "deleted" : "redacted";
  return `${isDryRun ? `would ${action}` : did} ${rows} ${what}`;
}

function textOf({ partitions, dropped, deleted }: Pruned, isDryRun: boolean): string {
  const [drop, remove] = isDryRun ? ["would drop", "would delete"] : ["dropped", "deleted"];
  const kept = partitions.filter(({ action }) => action === "kept").length;
  const later =
    kept === 0 ? "" : `; ${kept} kept, since a long query reads them: prune again later`;
  const total = `${drop} ${dropped} ${dropped === 1 ? "partition" : "partitions"}, ${remove} ${deleted} ${deleted === 1 ? "row" : "rows"}${later}`;
  if (partitions.length === 0) return total;
  const rows = table(partitions, [
    { head: "PARTITION", value: (row) => row.partition },
    { head: "ACTION", value: (row) => row.action },
    { head: "ROWS", value: (row) => row.rows, align: "right" },
  ]);
  return `${rows}\n\n${total}`;
}

export const historyNoun: Noun<History, PruneDesk> = {
  name: "history",
  help: "Remove old history",
  verbs: { prune },
  paths: { prune: "prune" },
};
