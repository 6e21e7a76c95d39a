/** Waits until nothing of a scope that is off runs any more, and shows on stderr what is left. */

import { setTimeout as wait } from "node:timers/promises";
import { PawlError } from "../base/errors.ts";
import { stillRunning, switches } from "../kernel/people/gate/sql.ts";
import { tasks } from "../kernel/people/sql.ts";
import { rescue } from "../kernel/sql.ts";
import type { Store } from "../store/store.ts";
import { endProgress, progressLines } from "./output.ts";

const LOOK_MS = 200;
const TASKS_SHOWN = 3;

/** @throws PawlError `not_stopped` when it is on again before all has stopped */
export async function untilStopped(store: Store, scope: string): Promise<void> {
  const report = progressLines();
  for (;;) {
    const found = (await switches(store)).find((row) => row.scope === scope);
    if (found === undefined) {
      endProgress();
      throw new PawlError(
        "not_stopped",
        `${scope}: on again while its last tasks ran; turn it off again, and look at \`pawl audit --target ${scope}\``,
        { data: { scope } },
      );
    }
    const left = stillRunning(found);
    if (left === "") break;
    const named = found.running > 0 ? `: ${await some(store, scope)}` : "";
    report(`${scope} is off, still running: ${left}${named}`);
    // where no worker lives any more, nobody else takes the tasks of those that died
    await rescue(store);
    await wait(LOOK_MS);
  }
  endProgress();
}

async function some(store: Store, scope: string): Promise<string> {
  const queue = scope === "all" ? undefined : scope.slice("queue:".length);
  const rows = await tasks(store, { state: "running", queue, limit: TASKS_SHOWN });
  return rows.map((row) => `task ${row.id} (${row.kind}, worker ${row.worker_id})`).join(", ");
}
