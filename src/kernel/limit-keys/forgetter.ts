/** Forgets the pace of limit keys that have been quiet. Nothing hangs on it but the size of the table. */

import type { Logger } from "../../base/log.ts";
import { type Loop, loop } from "../../base/loop.ts";
import { messageOf } from "../../base/thrown.ts";
import type { Store } from "../../store/store.ts";
import { type Forgotten, forgetPaces } from "./sql.ts";

const KEYS_PER_PASS = 5_000;
const PASS_GAP_MS = 25;
const ROUND_MS = 3_600_000;

/** Goes over all keys once an hour, a part in a pass. */
export function forgetter({ store, log }: { store: Store; log: Logger }): Loop {
  let last: Forgotten | undefined;
  return loop({
    runOnce: async () => {
      last = await forgetPaces(store, KEYS_PER_PASS, last);
      return last.after_key === null ? ROUND_MS * (0.5 + Math.random()) : 0;
    },
    failed: (error) =>
      log.warn(
        { err: messageOf(error) },
        "forgetting the pace of limit keys failed, it is tried again",
      ),
    gapMs: PASS_GAP_MS,
  });
}
