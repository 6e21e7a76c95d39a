/** What all parts give to each other, as one object. */

import type { SecretHolder } from "../secrets/reseal.ts";
import type { Executor } from "../store/executor.ts";
import type { Store } from "../store/store.ts";
import { type App, PARTS, type Provided, type Tools } from "./parts.ts";

export function provided(of: { app: App; databaseUrl: string | undefined }): Provided {
  return Object.assign({}, ...PARTS.map((part) => part.provides?.(of))) as Provided;
}

export function writesOf(client: { app: App; store: Store; where: string }): Tools["writes"] {
  const writes = PARTS.flatMap((part) => part.writes?.(client) ?? []);
  return (tx) => Object.assign({}, ...writes.map((one) => one(tx))) as ReturnType<Tools["writes"]>;
}

export async function secretHolders(executor: Executor): Promise<SecretHolder[]> {
  const holders: SecretHolder[] = [];
  for (const part of PARTS) holders.push(...((await part.secretHolders?.(executor)) ?? []));
  return holders;
}
