/** Statements of groups. The work is in `src/kernel/sql/groups.sql`. */

import type { Groups } from "../../base/scope.ts";
import type { Executor } from "../../store/executor.ts";

/** @throws PawlError for a member that is not there */
export async function writeGroups(
  executor: Executor,
  application: string,
  groups: Groups,
): Promise<void> {
  const rows = Object.entries(groups).map(([name, members]) => ({ name, members }));
  await executor.rows("select pawl.define_groups_v1($1, $2)", [application, JSON.stringify(rows)]);
}

export interface GroupRow {
  name: string;
  /** The app that defines it; empty: none does any more. */
  application: string;
  /** Scopes, as they are printed. */
  members: string[];
}

export function groupRows(executor: Executor): Promise<GroupRow[]> {
  return executor.rows("select name, application, members from pawl.groups_v1()");
}

/** The groups of all apps. */
export async function groupsOf(executor: Executor): Promise<Groups> {
  const rows = await groupRows(executor);
  return Object.fromEntries(rows.map(({ name, members }) => [name, members]));
}
