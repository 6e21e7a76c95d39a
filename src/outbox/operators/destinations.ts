/** Operators add, change, pause and remove destinations while the app runs; what the code defines only pauses. */

import { PawlError, shown } from "../../base/errors.ts";
import { keepMasked } from "../../base/keep-masked.ts";
import type { Act } from "../../kernel/people/audit/sql.ts";
import { type Config, maskConfig, withChanges } from "../destinations/config.ts";
import {
  changing,
  type Operators,
  requireDestination,
  requireOperators,
  requireType,
} from "./base.ts";
import { type Checked, checked } from "./checked.ts";
import {
  type PauseOptions,
  pauseDestination,
  putDestination,
  removeDestination,
  resumeDestination,
} from "./sql.ts";

export interface AddDestination {
  /** 1 to 80 of a-z, 0-9, `_`, `.` and `-`, beginning with a letter. */
  name: string;
  /** `webhook`, `rabbitmq`, …, or one of the app's `destinationTypes`. */
  type: string;
  /**
   * By the fields of the type: as code writes them, or as text (`"50/s"`, `"10x 60s x2 max 12h"`, `"env:NAME"`);
   * `"retry.attempts"` and `"headers.x-tenant"` set one part.
   */
  config?: Config;
  /** false: made turned off. Default true. */
  active?: boolean;
}

/** @throws PawlError `duplicate_name`, `unknown_destination_type`, and what the config is refused for */
export async function addDestination(
  { store, types, allow }: Operators,
  { name, type: typeName, config = {}, active = true }: AddDestination,
  act: Act,
): Promise<Pick<Checked, "notes">> {
  const type = requireType(types, typeName);
  const where = `destination ${shown(name)}`;
  const given = withChanges(type.fields, {}, { changes: config, where });
  const { put, shown: config_, notes } = checked(type, { name, config: given, allow });
  await changing(store, async (executor) => {
    const audited = { type: type.type, config: config_, ordering: put.ordering };
    await putDestination(executor, put, { ...act, isNew: true, shown: audited });
    if (!active) await pauseDestination(executor, name, act);
  });
  return { notes };
}

/**
 * Changes some fields; null takes one away. A value that is written as it was shown leaves what is stored.
 *
 * @throws PawlError `unknown_destination`, `owned_by_code`, and what the config is refused for
 */
export function editDestination(
  { store, types, allow }: Operators,
  { name, changes }: { name: string; changes: Config },
  act: Act,
): Promise<Pick<Checked, "notes">> {
  return changing(store, async (executor) => {
    const row = await requireOperators(executor, name);
    const type = requireType(types, row.type);
    const before = maskConfig(type.fields, row.config);
    const next = withChanges(type.fields, before, { changes, where: `destination "${name}"` });
    const config = keepMasked(next, row.config, before) as Config;
    const { put, shown: config_, notes } = checked(type, { name, config, allow });
    const audited = { changed: Object.keys(changes), config: config_, ordering: put.ordering };
    await putDestination(executor, put, { ...act, isNew: false, shown: audited });
    return { notes };
  });
}

/** Its routes go with it, and what waits is cancelled. @throws PawlError `unknown_destination`, `owned_by_code` */
export async function dropDestination(
  { store }: Operators,
  name: string,
  act: Act,
): Promise<{ cancelled: number }> {
  await requireOperators(store, name);
  return { cancelled: await removeDestination(store, name, act) };
}

/** @throws PawlError `unknown_destination`; `invalid_option` for an end that has passed */
export async function pause(
  { store }: Operators,
  name: string,
  options: PauseOptions & Act,
): Promise<{ cancelled: number }> {
  await requireDestination(store, name);
  const { until } = options;
  if (until !== undefined && !(until instanceof Date && !Number.isNaN(until.getTime()))) {
    throw new PawlError("invalid_option", `expected \`until\` to be a time, got ${shown(until)}`, {
      data: { option: "until" },
    });
  }
  return { cancelled: await pauseDestination(store, name, options) };
}

/** Answers whether it was off. Its breaker is closed too. @throws PawlError `unknown_destination` */
export async function resume({ store }: Operators, name: string, act: Act): Promise<boolean> {
  await requireDestination(store, name);
  return resumeDestination(store, name, act);
}
