/** Processes of a test on a database of its own, and waiting for what becomes of a run. */

import { onTestFinished } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import {
  type AnyProcess,
  connect,
  defineApp,
  type Pawl,
  type RunStatus,
  type ShownRun,
} from "../../src/index.ts";
import { freshDatabase } from "./database.ts";
import { LONG_LEASE } from "./kernel.ts";
import { until } from "./until.ts";

export async function pawlWith(
  processes: readonly AnyProcess[],
  databaseUrl?: string,
): Promise<Pawl> {
  const url = databaseUrl ?? (await freshDatabase()).url;
  const pawl = await connect(defineApp({ processes }), { databaseUrl: url, log: silentLogger });
  onTestFinished(() => pawl.close());
  await pawl.store.rows(LONG_LEASE);
  return pawl;
}

export function untilStatus(pawl: Pawl, id: string, status: RunStatus): Promise<ShownRun> {
  return until(`run ${id} is ${status}`, async () => {
    const shown = await pawl.processes.show(id);
    return shown?.run.status === status && shown;
  });
}
