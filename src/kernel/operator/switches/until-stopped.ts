/** Waits until nothing of a scope that is off runs any more, and reports what is left. */

import { setTimeout as wait } from "node:timers/promises";
import { PawlError } from "../../../base/errors.ts";
import { scopesIn, tasksOfScope } from "../../../base/scope.ts";
import type { Desk } from "../../../operate/verb.ts";
import type { Store } from "../../../store/store.ts";
import { groupsOf } from "../../groups/sql.ts";
import { rescue } from "../../sql.ts";
import { type TaskRow, tasks } from "../sql.ts";
import { type SwitchRow, stillRunning, switches } from "./sql.ts";

const LOOK_MS = 200;
const TASKS_SHOWN = 3;

/**
 * Returns its switch as it was when nothing ran any more. A later look may find work that begins, sees the switch and ends.
 *
 * @throws PawlError `not_stopped` when it is on again before all has stopped
 */
export async function untilStopped({ store, report }: Desk, scope: string): Promise<SwitchRow> {
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
    if (left === "") {
      report("");
      return found;
    }
    const named = found.running > 0 ? `: ${await some(store, scope)}` : "";
    report(`${scope} is off, still running: ${left}${named}`, "waiting");
    // where no worker lives any more, nobody else takes the tasks of those that died
    await rescue(store);
    await wait(LOOK_MS);
  }
}

async function some(store: Store, scope: string): Promise<string> {
  const found = new Map<string, TaskRow>();
  for (const one of scopesIn(scope, await groupsOf(store))) {
    const held = tasksOfScope(one);
    if (one !== "all" && Object.keys(held).length === 0) continue;
    const { rows } = await tasks(store, { states: ["running"], ...held, limit: TASKS_SHOWN });
    for (const row of rows) found.set(row.id, row);
  }
  const rows = [...found.values()].slice(0, TASKS_SHOWN);
  return rows.map((row) => `task ${row.id} (${row.kind}, worker ${row.workerId})`).join(", ");
}
