/** Operators add, change, pause and remove destinations while the app runs. Destinations defined in code can only be paused. */

import { shown } from "../../../base/errors.ts";
import { queueScope } from "../../../base/scope.ts";
import { untilOff } from "../../../kernel/operator/switches/sql.ts";
import type { Act } from "../../../operate/sql.ts";
import { keepMasked } from "../../../secrets/keep-masked.ts";
import { type Config, maskConfig, withChanges } from "../../destinations/config.ts";
import { queueOfDestination } from "../../routes.ts";
import {
  changing,
  type Operators,
  requireDestination,
  requireOperators,
  requireType,
} from "../base.ts";
import { type Checked, checked } from "../checked.ts";
import {
  type PauseOptions,
  pauseDestination,
  putDestination,
  removeDestination,
  resumeDestination,
} from "../sql.ts";
import { refuseCarriedSecrets } from "./new-place.ts";

export interface AddDestination {
  /** 1 to 80 of a-z, 0-9, `_`, `.` and `-`, starting with a letter. */
  name: string;
  /** `webhook`, `rabbitmq`, …, or one of the app's `destinationTypes`. */
  type: string;
  /**
   * The fields of the type: as code writes them, or as text (`"50/s"`, `"10x 60s x2 max 12h"`, `"env:NAME"`).
   * `"retry.attempts"` and `"headers.x-tenant"` set one part.
   */
  config?: Config;
  /** false: created paused; deliveries are held. Default true. */
  active?: boolean;
}

/** @throws PawlError `duplicate_name`, `unknown_destination_type`, and errors of the config */
export async function addDestination(
  { store, types, allow, references }: Operators,
  { name, type: typeName, config = {}, active = true }: AddDestination,
  act: Act,
): Promise<Pick<Checked, "notes">> {
  const type = requireType(types, typeName);
  const where = `destination ${shown(name)}`;
  const given = withChanges(type.fields, {}, { changes: config, where });
  const { put, shown: config_, notes } = checked(type, { name, config: given, allow, references });
  await changing(store, async (executor) => {
    const audited = { type: type.type, config: config_, ordering: put.ordering };
    await putDestination(executor, put, { ...act, isNew: true, shown: audited });
    if (!active) await pauseDestination(executor, name, act);
  });
  return { notes };
}

/**
 * Changes some fields; null removes one. A value written back as it was shown keeps what is stored. With another scheme,
 * host or port, its secrets must be given again.
 *
 * @throws PawlError `unknown_destination`, `owned_by_code`, and errors of the config
 */
export function editDestination(
  { store, types, allow, references }: Operators,
  { name, changes }: { name: string; changes: Config },
  act: Act,
): Promise<Pick<Checked, "notes">> {
  return changing(store, async (executor) => {
    const row = await requireOperators(executor, name);
    const type = requireType(types, row.type);
    const before = maskConfig(type.fields, row.config);
    const next = withChanges(type.fields, before, { changes, where: `destination "${name}"` });
    const config = keepMasked(next, row.config, before) as Config;
    refuseCarriedSecrets(type.fields, { name, before: row.config, after: config, changes });
    const { put, shown: config_, notes } = checked(type, { name, config, allow, references });
    const audited = { changed: Object.keys(changes), config: config_, ordering: put.ordering };
    await putDestination(executor, put, { ...act, isNew: false, shown: audited });
    return { notes };
  });
}

/**
 * Removes a destination and its routes, and cancels waiting deliveries.
 * @throws PawlError `unknown_destination`, `owned_by_code`
 */
export async function dropDestination(
  { store }: Operators,
  name: string,
  act: Act,
): Promise<{ cancelled: number }> {
  await requireOperators(store, name);
  return { cancelled: await removeDestination(store, name, act) };
}

/** @throws PawlError `unknown_destination`; `invalid_option` if the end has passed */
export async function pause(
  { store }: Operators,
  name: string,
  options: PauseOptions & Act,
): Promise<{ cancelled: number }> {
  await requireDestination(store, name);
  const cancelled = await pauseDestination(store, name, options);
  await untilOff(store, queueScope(queueOfDestination(name)));
  return { cancelled };
}

/** Returns true if it was off. Closes its breaker too. @throws PawlError `unknown_destination` */
export async function resume({ store }: Operators, name: string, act: Act): Promise<boolean> {
  await requireDestination(store, name);
  return resumeDestination(store, name, act);
}
