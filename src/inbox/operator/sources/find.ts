/** Finds the source that somebody names. */

import { PawlError, shown } from "../../../base/errors.ts";
import { didYouMean } from "../../../base/suggest.ts";
import { dataText } from "../../../base/text.ts";
import type { Executor } from "../../../store/executor.ts";
import { type SourceState, sources } from "../sql.ts";

/** @throws PawlError `source_not_found` */
export async function requireSource(executor: Executor, name: string): Promise<SourceState> {
  const all = await sources(executor);
  const found = all.find((one) => one.name === name);
  if (found !== undefined) return found;
  const known = all.map((one) => one.name);
  const hint =
    known.length === 0
      ? "this database knows none yet: `pawl work` tells it those of the app"
      : didYouMean(name, known);
  throw new PawlError("source_not_found", `no source ${shown(name)}; ${hint}`, {
    data: { source: dataText(name) },
  });
}
