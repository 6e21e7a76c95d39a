/**
 * Switches that need no database: files in `locks/` (or `PAWL_LOCKS_DIR`) and the variable `PAWL_OFF`. Each holds what it
 * names on this host only, and with a group its members; any of them is enough. Workers look at the files every second and report what is held.
 */

import { readdir } from "node:fs/promises";
import { resolve } from "node:path";
import { PawlError, shown } from "../base/errors.ts";
import { type Groups, LOCAL_KINDS, parseScope, scopesIn, scopeText } from "../base/scope.ts";

const FILE = new RegExp(`^(?:(all|all-commands)|(${LOCAL_KINDS.join("|")})-(.+))\\.disabled$`);
const NAME = /^[A-Za-z][A-Za-z0-9:_.-]{0,199}$/;
/** The kind whose names lie in the queue's files too: `queue-destination-erp.disabled`. */
const IN_QUEUE = /^([a-z]+)-(.+)$/;

export interface LocalSwitches {
  /** Scopes such as `all` and `queue:low`, sorted. A folder that is not there holds nothing. */
  read(): Promise<string[]>;
}

/** A file of a part's own: without its `.disabled`, and the scope that it holds. */
export type SwitchFile = readonly [name: string, scope: string];

/**
 * @param own further names of files, such as `get-orders` for `command:get-orders`
 * @param groups those whose members are known without the database
 * @throws PawlError `invalid_environment` for a `PAWL_OFF` that names no scope
 */
export function localSwitches(
  env: NodeJS.ProcessEnv = process.env,
  own: readonly SwitchFile[] = [],
  groups: Groups = {},
): LocalSwitches {
  const variable = scopesOfVariable(env.PAWL_OFF ?? "");
  const folder = resolve(env.PAWL_LOCKS_DIR || "locks");
  return {
    read: async () => {
      const files = await namesIn(folder);
      const held = own.flatMap(([name, scope]) =>
        files.includes(`${name}.disabled`) ? scope : [],
      );
      const named = [...variable, ...files.flatMap(scopesOfFile), ...held];
      return [...new Set(named.flatMap((scope) => scopesIn(scope, groups)))].sort();
    },
  };
}

/** `all`, or scopes separated by commas; `1` and `true` mean all, and nothing, `0` and `false` none. */
function scopesOfVariable(text: string): string[] {
  if (/^(|0|false)$/i.test(text.trim())) return [];
  if (/^(1|true)$/i.test(text.trim())) return ["all"];
  return text.split(",").map((part) => {
    const scope = localScope(part.trim());
    if (scope !== undefined) return scope;
    const kinds = LOCAL_KINDS.map((kind) => `"${kind}:<name>"`).join(", ");
    throw new PawlError(
      "invalid_environment",
      `expected PAWL_OFF to be "all" or scopes separated by commas (${kinds}), such as "queue:low,queue:high", got ${shown(text)}`,
    );
  });
}

/** `:` stands in no file's name on Windows: `queue-low.disabled`, and `destination-erp.disabled` for a destination. */
function scopesOfFile(file: string): string[] {
  const [, all, kind, name = ""] = FILE.exec(file) ?? [];
  if (all !== undefined) return ["all"];
  if (kind === undefined) return [];
  const [, other, rest] = (kind === "queue" && IN_QUEUE.exec(name)) || [];
  const asQueue = other === undefined ? undefined : localScope(`queue:${other}:${rest}`);
  return [
    localScope(`${kind}:${name}`),
    asQueue?.startsWith("queue:") ? undefined : asQueue,
  ].filter((scope) => scope !== undefined);
}

/** As it is printed; undefined for what no host can hold. */
function localScope(text: string): string | undefined {
  const scope = parseScope(text);
  if (scope === undefined) return undefined;
  if (scope.kind === "all") return "all";
  return LOCAL_KINDS.includes(scope.kind) && NAME.test(scope.name) ? scopeText(scope) : undefined;
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
