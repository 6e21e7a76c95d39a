/** Seals again with the newest master key what others were sealed with: each holder of secrets by itself. */

import { PawlError } from "../base/errors.ts";
import { resealAll } from "./seal.ts";

const TRIES_MAX = 10;

/** Something that keeps sealed secrets. */
export interface SecretHolder {
  /** `key crm`, `destination erp` */
  name: string;
  /** Answers whether there was something to seal again. What is changed meanwhile is read again. */
  reseal: () => Promise<boolean>;
}

/** @param replace answers false where it is no longer `before` */
export function secretHolder<Config>(
  name: string,
  read: () => Promise<Config | undefined>,
  replace: (before: Config, after: Config) => Promise<boolean>,
): SecretHolder {
  return { name, reseal: () => untilReplaced(name, read, replace) };
}

async function untilReplaced<Config>(
  name: string,
  read: () => Promise<Config | undefined>,
  replace: (before: Config, after: Config) => Promise<boolean>,
): Promise<boolean> {
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const before = await read();
    if (before === undefined) return false;
    const after = resealAll(before);
    if (after === before) return false;
    if (await replace(before, after)) return true;
  }
  throw new PawlError(
    "database_error",
    `pawl keys reseal: ${name} changed ${TRIES_MAX} times meanwhile, or holds what only SQL can have written; try again, or enter its secrets again`,
    { data: { name } },
  );
}

/** One that no key opens leaves the others their turn; anything else is thrown, and the caller rolls all back. */
export async function resealEach(
  holders: readonly SecretHolder[],
): Promise<{ resealed: string[]; failed: string[] }> {
  const resealed: string[] = [];
  const failed: string[] = [];
  for (const { name, reseal } of holders) {
    try {
      if (await reseal()) resealed.push(name);
    } catch (thrown) {
      const isKeyMissing = thrown instanceof PawlError && thrown.code === "invalid_environment";
      if (!isKeyMissing) throw thrown;
      failed.push(thrown.message);
    }
  }
  return { resealed, failed };
}
