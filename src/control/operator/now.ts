/** The commands as they are now, seen from this host: lists and `why` read the same. */

import { hostname } from "node:os";
import { groupsOf } from "../../kernel/groups/sql.ts";
import { localSwitches } from "../../kernel/local-switches.ts";
import type { Executor } from "../../store/executor.ts";
import { filesOf } from "../definition.ts";
import { commandNames, type ListedCommand, listCommands } from "../sql.ts";

export async function commandsNow(executor: Executor): Promise<ListedCommand[]> {
  // first the names: files are called by them
  const files = filesOf(await commandNames(executor));
  const off = await localSwitches(process.env, files, await groupsOf(executor)).read();
  return listCommands(executor, { host: hostname(), off });
}
