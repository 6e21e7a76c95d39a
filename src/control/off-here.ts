/** What files and `PAWL_OFF` on this host hold of commands. */

import { hostname } from "node:os";
import type { Groups } from "../base/scope.ts";
import { localSwitches } from "../kernel/local-switches.ts";
import { filesOf } from "./definition.ts";
import { offHere } from "./refusal.ts";

/** @throws PawlError `command_off` */
export async function refuseOffHere(name: string, key: string, groups: Groups): Promise<void> {
  const scopes = ["all", `command:${name}`, `command:${key}`];
  const held = await localSwitches(process.env, filesOf([name, key]), groups).read();
  const off = held.find((scope) => scopes.includes(scope));
  if (off !== undefined) throw offHere(key, off, hostname());
}
