/** A destination that an operator describes, as it will be stored: checked as a whole before anything is written. */

import { PawlError } from "../../base/errors.ts";
import { refuseForeignSeals } from "../../base/seal.ts";
import {
  type Config,
  maskConfig,
  readConfig,
  sealConfig,
  secretContext,
} from "../destinations/config.ts";
import type { DestinationDefinition, DestinationType } from "../destinations/types.ts";
import { behaviourRow } from "../queue-row.ts";
import { namedDestination } from "../routes.ts";
import { ofType } from "./of-type.ts";
import type { PutDestination } from "./sql.ts";

export interface Checked {
  put: PutDestination;
  /** The config as anybody may see it. */
  shown: Config;
  /** What is missing here, and must be there where workers run: `webhook secret: the environment variable …`. */
  notes: string[];
}

/**
 * @throws PawlError `invalid_option`, `invalid_url`, `invalid_environment`, `address_forbidden`, … whatever the type
 * says about the config
 */
export function checked(
  type: DestinationType,
  { name, config, allow }: { name: string; config: Config; allow: readonly string[] },
): Checked {
  return ofType(() => check(type, { name, config, allow }));
}

function check(
  type: DestinationType,
  { name, config, allow }: { name: string; config: Config; allow: readonly string[] },
): Checked {
  const context = secretContext(name);
  const read = readConfig(type.fields, config, `destination "${name}"`);
  const stored = sealConfig(type.fields, read, context);
  refuseForeignSeals(stored, context);
  const definition = type.define(stored);
  const named = namedDestination(name, definition);
  definition.checkHost?.(allow);
  return {
    put: {
      name,
      type: type.type,
      config: stored,
      ordering: named.order,
      queue: {
        retry: named.retry,
        timeout_ms: definition.timeoutMs,
        ...behaviourRow(named.behaviour),
      },
    },
    shown: maskConfig(type.fields, stored),
    notes: missingHere(definition),
  };
}

/** A secret may be on the workers' machines only; one that is there and wrong is refused. */
function missingHere(definition: DestinationDefinition): string[] {
  try {
    ofType(() => definition.check?.());
    return [];
  } catch (error) {
    if (error instanceof PawlError && error.code === "invalid_environment") return [error.message];
    throw error;
  }
}
