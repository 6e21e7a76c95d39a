/** Registers the sources that the code defines, so that lists and operators see them. */

import { shownValue } from "../base/mask-json.ts";
import type { Executor } from "../store/executor.ts";
import { isPush, type SourceDefinition } from "./source.ts";
import { writeSources } from "./sql.ts";

/** @throws PawlError `invalid_option` when a source's kind of cursor has changed */
export async function registerSources(
  executor: Executor,
  owner: { application: string; revision: number },
  sources: readonly SourceDefinition[],
): Promise<void> {
  if (sources.length === 0) return;
  await writeSources(executor, {
    ...owner,
    sources: sources.map((source) => ({
      name: source.name,
      type: source.type,
      config: shownValue(source.config) as typeof source.config,
      cursor: source.cursor,
      is_push: isPush(source),
      start: source.start,
      gap_ms: source.gapMs,
      idle_ms: source.idleMs,
      on_fault: source.onFault,
      retry: source.retry,
      high_water: source.highWater,
      low_water: source.lowWater,
      ordering: source.order,
      has_handler: source.store !== null,
    })),
  });
}
