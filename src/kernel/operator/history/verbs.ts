/** The noun `history`: removes tasks whose retention time is over. Workers do the same by themselves. */

import { recordAct } from "../../../operate/sql.ts";
import { table } from "../../../operate/table.ts";
import { type ActOptions, type Desk, type Noun, type Verb, verb } from "../../../operate/verb.ts";
import { flag } from "../../../options/kinds.ts";
import { type Pruned, prune as pruneHistory } from "./prune.ts";

export interface PruneHistory extends ActOptions {
  /** Counts what would be removed, and removes nothing. */
  dryRun?: boolean;
}

export type PrunedHistory = Pruned & { dryRun: boolean };

/** `pawl.history`. */
export interface History {
  /** Removes tasks from history whose retention time is over. */
  prune(options?: PruneHistory): Promise<PrunedHistory>;
}

const prune: Verb<History["prune"], Desk> = verb({
  help: "Remove tasks from history whose retention time is over",
  examples: [
    ["pawl prune --dry-run", "what would go"],
    ["pawl prune", "now, without waiting for a worker to do it"],
  ],
  input: { dryRun: flag("count what would be removed, remove nothing") },
  changes: true,
  run: async ({ store, report }, { dryRun = false }, act): Promise<PrunedHistory> => {
    // before: it takes many transactions
    if (!dryRun) await recordAct(store, { ...act, target: "history" });
    const pruned = await pruneHistory(store, {
      isDryRun: dryRun,
      progress: ({ partition, page, pages }) => report(`${partition}: page ${page} of ${pages}`),
    });
    report("");
    return { dryRun, ...pruned };
  },
  text: ({ dryRun, ...pruned }) => textOf(pruned, dryRun),
});

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

export const historyNoun: Noun<History, Desk> = {
  name: "history",
  help: "Remove old history",
  verbs: { prune },
  paths: { prune: "prune" },
};
