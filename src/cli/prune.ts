/** `pawl prune`: removes from history what retention no longer keeps. Workers do the same by themselves. */

import type { Command } from "commander";
import { type Act, recordAct } from "../kernel/people/audit/sql.ts";
import { type Pruned, prune } from "../kernel/people/prune.ts";
import { actOf, withAct } from "./act.ts";
import { command, does, withStore } from "./command.ts";
import { endProgress, progress } from "./output.ts";
import { table } from "./table.ts";

export function pruneCommand(): Command {
  const plain = command("prune", "Remove from history what retention no longer keeps", [
    ["pawl prune --dry-run", "what would go"],
    ["pawl prune", "now, instead of when a worker does it by itself"],
  ]).option("--dry-run", "count what would go, remove nothing");
  return does<Act & { dryRun?: boolean }>(withAct(plain), (call, { dryRun = false, ...act }) =>
    withStore(call, async (store) => {
      const pruned = await prune(store, {
        isDryRun: dryRun,
        progress: ({ partition, page, pages }) =>
          progress(`${partition}: page ${page} of ${pages}`),
      });
      endProgress();
      const { dropped, deleted } = pruned;
      if (!dryRun) {
        const detail = { dropped, deleted };
        await recordAct(store, { ...actOf(act), action: "prune", target: "history", detail });
      }
      return { json: { dryRun, ...pruned }, text: textOf(pruned, dryRun) };
    }),
  );
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
