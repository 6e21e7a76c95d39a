/** All live workers are asked to stop, and the audit keeps who did. */

import type { Executor } from "../../store/executor.ts";
import { stopWorkers } from "../sql.ts";
import { type Act, recordAct } from "./audit/sql.ts";

/** Answers how many were asked that had not been before. */
export async function stopAllWorkers(executor: Executor, act: Act): Promise<number> {
  const asked = await stopWorkers(executor);
  await recordAct(executor, { ...act, action: "stop", target: "workers", detail: { asked } });
  return asked;
}
