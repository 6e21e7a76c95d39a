/** Statements about apps that share a database. */

import type { Definitions } from "../kernel/sql.ts";
import { results } from "../operate/results.ts";
import type { Act } from "../operate/sql.ts";
import type { Executor } from "../store/executor.ts";

/** Beside queues and streams: names by kind, `{ sources: [{ name }] }`. */
export type OwnedNames = Definitions & Record<string, unknown>;

/** @throws PawlError `owned_by_code` naming what another app defines */
export async function ownNames(executor: Executor, names: OwnedNames): Promise<void> {
  await executor.rows("select pawl.own_names_v1($1)", [JSON.stringify(names)]);
}

/** False: a newer revision of the app has registered. */
export async function isCurrentRevision(
  executor: Executor,
  application: string,
  revision: number,
): Promise<boolean> {
  const [row] = await executor.rows<{ is_current: boolean }>(
    "select pawl.is_current_v1($1, $2) as is_current",
    [application, revision],
  );
  return row?.is_current !== false;
}

export interface AppRow {
  name: string;
  revision: number;
  registeredAt: Date;
  /** Number of live workers. */
  workers: number;
  queues: number;
  jobs: number;
  destinations: number;
  routes: number;
  sources: number;
}

/** @param name of one app; default: all */
export async function apps(executor: Executor, name: string | null = null): Promise<AppRow[]> {
  const rows = await results<AppRow & { owned: object }>(
    executor,
    "select * from pawl.apps_v1() a where $1::text is null or a.name = $1",
    [name],
  );
  return rows.map(({ owned, ...row }) => ({ ...row, ...owned }));
}

/** @throws PawlError `invalid_option` for an unknown app, or if workers of it live */
export async function removeApp(
  executor: Executor,
  { name, by, why }: Act & { name: string },
): Promise<void> {
  await executor.rows("select pawl.remove_app_v1($1, $2, $3)", [name, by, why ?? null]);
}
