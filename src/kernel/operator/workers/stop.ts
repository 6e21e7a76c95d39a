/** Asks all live workers to stop, and records in the audit who did. */

import { recorded } from "../../../operate/recorded.ts";
import type { Act } from "../../../operate/sql.ts";
import type { Store } from "../../../store/store.ts";
import { stopWorkers } from "../sql.ts";

/** Returns how many workers were asked that had not been asked before. */
export function stopAllWorkers(store: Store, act: Act & { action: string }): Promise<number> {
  return recorded(store, async (executor) => {
    const asked = await stopWorkers(executor);
    return { result: asked, entry: { ...act, target: "workers", detail: { asked } } };
  });
}
