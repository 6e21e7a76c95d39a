/** What all parts give to each other, as one object. */

import type { PartPruneOptions, PrunedOther } from "../kernel/part.ts";
import type { Writes, WritesFor } from "../process/writes.ts";
import type { SecretHolder } from "../secrets/reseal.ts";
import type { Executor } from "../store/executor.ts";
import type { Store } from "../store/store.ts";
import { type App, PARTS, type Provided } from "./parts.ts";

export function provided(of: { app: App; databaseUrl: string | undefined }): Provided {
  return Object.assign({}, ...PARTS.map((part) => part.provides?.(of))) as Provided;
}

export function writesOf(client: { app: App; store: Store }): WritesFor {
  return (where) => {
    const writes = PARTS.flatMap((part) => part.writes?.({ ...client, where }) ?? []);
    return (tx) => Object.assign({}, ...writes.map((one) => one(tx))) as Writes;
  };
}

export async function secretHolders(executor: Executor): Promise<SecretHolder[]> {
  const holders: SecretHolder[] = [];
  for (const part of PARTS) holders.push(...((await part.secretHolders?.(executor)) ?? []));
  return holders;
}

export async function pruneOthers(
  executor: Executor,
  options: PartPruneOptions,
): Promise<PrunedOther[]> {
  const pruned: PrunedOther[] = [];
  for (const part of PARTS) pruned.push(...((await part.prune?.(executor, options)) ?? []));
  return pruned.filter(({ rows }) => rows > 0);
}
