/** Refuses names that nobody has defined: a filter by such a name would find nothing. */

import { PawlError, shown } from "../../base/errors.ts";
import { didYouMean } from "../../base/suggest.ts";
import { dataText } from "../../base/text.ts";
import type { Executor } from "../../store/executor.ts";
import type { Selection } from "./filter.ts";
import { kinds, queueNames } from "./sql.ts";

/** @throws PawlError `unknown_queue`, `unknown_kind`, `unknown_destination` unless known */
export function requireKnown(
  code: "unknown_queue" | "unknown_kind" | "unknown_destination",
  name: string | undefined,
  known: readonly string[],
): void {
  if (name === undefined || known.includes(name)) return;
  const what = code.slice("unknown_".length);
  throw new PawlError(
    code,
    `no ${what} ${shown(name)} in this database; ${didYouMean(name, known)}`,
    { data: { value: dataText(name) } },
  );
}

/** @throws PawlError `unknown_queue`, `unknown_kind` with the nearest there is */
async function requireQueueAndKind(
  executor: Executor,
  { queue, kind }: { queue?: string | undefined; kind?: string | undefined },
): Promise<void> {
  if (queue !== undefined) requireKnown("unknown_queue", queue, await queueNames(executor));
  if (kind === undefined) return;
  const known = new Set((await kinds(executor)).map((row) => row.kind));
  requireKnown("unknown_kind", kind, [...known]);
}

/** A name that nobody has defined would find nothing. @throws PawlError `unknown_queue`, `unknown_kind` */
export async function requireNames(executor: Executor, selection: Selection): Promise<void> {
  await requireQueueAndKind(executor, selection);
  for (const { field, names = [], isNot } of selection.filter ?? []) {
    if (isNot || (field !== "queue" && field !== "kind")) continue;
    for (const name of names) await requireQueueAndKind(executor, { [field]: name });
  }
}
