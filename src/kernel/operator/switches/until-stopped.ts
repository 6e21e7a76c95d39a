/** Waits until nothing of a scope that is off runs any more, and reports what is left. */

import { setTimeout as wait } from "node:timers/promises";
import { PawlError } from "../../../base/errors.ts";
import { queueOfScope } from "../../../base/scope.ts";
import type { Desk } from "../../../operate/verb.ts";
import type { Store } from "../../../store/store.ts";
import { rescue } from "../../sql.ts";
import { tasks } from "../sql.ts";
import { stillRunning, switches } from "./sql.ts";

const LOOK_MS = 200;
const TASKS_SHOWN = 3;

/** @throws PawlError `not_stopped` when it is on again before all has stopped */
export async function untilStopped({ store, report }: Desk, scope: string): Promise<void> {
  for (;;) {
    const found = (await switches(store)).find((row) => row.scope === scope);
    if (found === undefined) {
      report("");
      throw new PawlError(
        "not_stopped",
        `${scope}: on again while its last tasks ran; turn it off again, and look at \`pawl audit --target ${scope}\``,
        { data: { scope } },
      );
    }
    const left = stillRunning(found);
    if (left === "") break;
    const named = found.running > 0 ? `: ${await some(store, scope)}` : "";
    report(`${scope} is off, still running: ${left}${named}`, "waiting");
    // where no worker lives any more, nobody else takes the tasks of those that died
    await rescue(store);
    await wait(LOOK_MS);
  }
  report("");
}

async function some(store: Store, scope: string): Promise<string> {
  const queue = queueOfScope(scope);
  const rows = await tasks(store, { state: "running", queue, limit: TASKS_SHOWN });
  return rows.map((row) => `task ${row.id} (${row.kind}, worker ${row.workerId})`).join(", ");
}
