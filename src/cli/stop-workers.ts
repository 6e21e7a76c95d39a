/** `pawl stop-workers`: every live worker, on whatever machine, finishes or gives back what it runs and ends. */

import { setTimeout as wait } from "node:timers/promises";
import type { Command } from "commander";
import type { Act } from "../kernel/people/audit/sql.ts";
import { workers } from "../kernel/people/sql.ts";
import { stopAllWorkers } from "../kernel/people/stop-workers.ts";
import type { Store } from "../store/store.ts";
import { actOf, withAct } from "./act.ts";
import { command, does, withStore } from "./command.ts";
import { endProgress, progress } from "./output.ts";

const LOOK_MS = 200;

export function stopWorkersCommand(): Command {
  const made = command(
    "stop-workers",
    "Ask all live workers to stop: they finish or give back what they run",
    [
      ["pawl stop-workers", "before a release; whoever supervises them starts them anew"],
      ["pawl stop-workers --wait", "until those have ended, or their leases have run out"],
    ],
  ).option("--wait", "wait until the workers that are live now have ended");
  return does<Act & { wait?: boolean }>(withAct(made), (call, options) =>
    withStore(call, async (store) => {
      const live = (await workers(store)).map((worker) => worker.id);
      const asked = await stopAllWorkers(store, actOf(options));
      if (options.wait === true) await untilEnded(store, new Set(live));
      const done = options.wait === true ? `${live.length} ended` : `${asked} asked to stop`;
      return {
        json: { asked, ended: options.wait === true ? live.length : null },
        text: `workers: ${done}`,
      };
    }),
  );
}

/** Ends by itself: a worker stops within its grace, or its lease runs out. */
async function untilEnded(store: Store, ids: ReadonlySet<number>): Promise<void> {
  for (;;) {
    const live = (await workers(store)).filter((worker) => ids.has(worker.id));
    if (live.length === 0) break;
    progress(`waiting for ${live.length} of ${ids.size} workers`);
    await wait(LOOK_MS);
  }
  endProgress();
}
