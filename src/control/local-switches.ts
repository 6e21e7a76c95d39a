/**
 * Switches that need no database: files in `locks/` (or `PAWL_LOCKS_DIR`) and the variable `PAWL_OFF`. Each holds what it
 * names on this host only; any of them is enough. Workers look at the files every second and report what is held.
 */

import { readdir } from "node:fs/promises";
import { resolve } from "node:path";
import { PawlError, shown } from "../base/errors.ts";

const FILE = /^(all|all-commands|queue-[a-z][a-z0-9:_.-]{0,99})\.disabled$/;
const DESTINATION = /^destination-/;
const SCOPE = /^(all|queue:[a-z][a-z0-9:_.-]{0,99})$/;

export interface LocalSwitches {
  /** Scopes such as `all` and `queue:low`, sorted. A folder that is not there holds nothing. */
  read(): Promise<string[]>;
}

/** @throws PawlError `invalid_environment` for a `PAWL_OFF` that names no scope */
export function localSwitches(env: NodeJS.ProcessEnv = process.env): LocalSwitches {
  const variable = scopesOfVariable(env.PAWL_OFF ?? "");
  const folder = resolve(env.PAWL_LOCKS_DIR || "locks");
  return {
    read: async () => {
      const files = await namesIn(folder);
      return [...new Set([...variable, ...files.flatMap(scopesOfFile)])].sort();
    },
  };
}

/** `all`, or scopes separated by commas; `1` and `true` mean all, and nothing, `0` and `false` none. */
function scopesOfVariable(text: string): string[] {
  if (/^(|0|false)$/i.test(text.trim())) return [];
  if (/^(1|true)$/i.test(text.trim())) return ["all"];
  const scopes = text.split(",").map((scope) => scope.trim());
  const bad = scopes.find((scope) => !SCOPE.test(scope));
  if (bad === undefined) return scopes;
  throw new PawlError(
    "invalid_environment",
    `expected PAWL_OFF to be "all" or scopes separated by commas, such as "queue:low,queue:high", got ${shown(text)}`,
  );
}

/** `:` stands in no file's name on Windows: `queue-low.disabled`, and `queue-destination-erp.disabled` for a destination. */
function scopesOfFile(file: string): string[] {
  const [, name] = FILE.exec(file) ?? [];
  if (name === undefined) return [];
  if (!name.startsWith("queue-")) return ["all"];
  const queue = name.slice("queue-".length);
  return [
    `queue:${queue}`,
    ...(DESTINATION.test(queue) ? [`queue:${queue.replace("-", ":")}`] : []),
  ];
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
