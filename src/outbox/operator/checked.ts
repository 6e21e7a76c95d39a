/** A destination that an operator describes, as it will be stored: checked as a whole before anything is written. */

import { PawlError } from "../../base/errors.ts";
import { toJson } from "../../base/json.ts";
import { unheard } from "../../base/unheard.ts";
import { behaviourRow } from "../../queue/queue-row.ts";
import { refuseForeignSeals } from "../../secrets/seal.ts";
import {
  type Config,
  maskConfig,
  readConfig,
  sealConfig,
  secretContext,
} from "../destinations/config.ts";
import { operatorReferences, type References } from "../destinations/references.ts";
import type { DestinationDefinition, DestinationType } from "../destinations/types.ts";
import { namedDestination } from "../routes.ts";
import { ofType } from "./of-type.ts";
import type { PutDestination } from "./sql.ts";

const FIELD_BYTES_MAX = 1_048_576;

export interface Checked {
  put: PutDestination;
  /** The config as anybody may see it. */
  shown: Config;
  /** What is missing here, and must be there where workers run: `webhook secret: the environment variable …`. */
  notes: string[];
}

interface Given {
  name: string;
  config: Config;
  allow: readonly string[];
  references?: References | undefined;
}

/**
 * @throws PawlError `invalid_option`, `invalid_url`, `invalid_environment`, `address_forbidden`, … whatever the type
 * says about the config
 */
export function checked(type: DestinationType, given: Given): Checked {
  return ofType(() => check(type, given));
}

function check(
  type: DestinationType,
  { name, config, allow, references = operatorReferences() }: Given,
): Checked {
  const context = secretContext(name);
  const read = readConfig(type.fields, config, `destination "${name}"`);
  refuseUnstorable(`destination "${name}"`, read);
  references.refuse(`destination "${name}"`, type, read);
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

/** @throws PawlError `invalid_option` naming the field */
function refuseUnstorable(where: string, config: Config): void {
  for (const [field, value] of Object.entries(config)) {
    toJson(value, {
      what: `${where}: \`${field}\``,
      bytesMax: FIELD_BYTES_MAX,
      isLossy: true,
      codes: { notJson: "invalid_option", tooLarge: "invalid_option" },
    });
  }
}

/** A secret may be on the workers' machines only; one that is there and wrong is refused. */
function missingHere(definition: DestinationDefinition): string[] {
  try {
    ofType(() => {
      const answer: unknown = definition.check?.();
      unheard(() => answer); // it is for the start of workers, which wait for it
    });
    return [];
  } catch (error) {
    if (error instanceof PawlError && error.code === "invalid_environment") return [error.message];
    throw error;
  }
}
