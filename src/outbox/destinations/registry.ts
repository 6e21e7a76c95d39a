/** The types of destinations that operators can add: Pawl's, and the app's own. */

import { refuseUnknownOptions } from "../../base/options.ts";
import { type FieldsOf, readOptions, required } from "../../options/field.ts";
import { func, matching } from "../../options/kinds.ts";
import { object, refuseTwice } from "../../options/parts.ts";
import { withLiveSecrets } from "./expiring-secrets.ts";
import { type ConfigFields, FIELD_OPTIONS } from "./fields.ts";
import { flowType } from "./flow-type.ts";
import { jobType } from "./job-type.ts";
import { nullType } from "./null.ts";
import { rabbitmqType } from "./rabbitmq-type.ts";
import type { DestinationType } from "./types.ts";
import { webhookType } from "./webhook-type.ts";

const TYPE_NAME = /^[a-z][a-z0-9_-]{0,39}$/;
export const BUILT_IN_TYPES: readonly DestinationType[] = [
  webhookType,
  rabbitmqType,
  jobType,
  flowType,
  nullType,
];

const TYPE = {
  type: required(
    matching("1 to 40 of a-z, 0-9, _ and -, starting with a letter", (text) =>
      TYPE_NAME.test(text),
    ),
  ),
  label: required(matching("a text for people", (text) => text !== "")),
  fields: required(object<ConfigFields>("the fields of its config by name")),
  define: required(func<DestinationType["define"]>("of the config")),
} satisfies FieldsOf<DestinationType>;

/**
 * Defines your own type of destinations: the fields of its config, and how an event is delivered.
 *
 * @throws PawlError `invalid_option`
 */
export function defineDestinationType(type: DestinationType): DestinationType {
  const { fields } = readOptions("defineDestinationType", TYPE, type);
  for (const [field, options] of Object.entries(fields))
    refuseUnknownOptions(`defineDestinationType: field \`${field}\``, options, FIELD_OPTIONS);
  return Object.freeze({ ...type });
}

/** Pawl's and the app's. @throws PawlError `duplicate_name`, `invalid_option` */
export function destinationTypes(own: readonly DestinationType[]): readonly DestinationType[] {
  return differing([
    ...BUILT_IN_TYPES,
    ...own.map((type) => withLiveSecrets(defineDestinationType(type))),
  ]);
}

/** With one that another part has. @throws PawlError `duplicate_name` */
export function withType(
  types: readonly DestinationType[],
  type: DestinationType,
): readonly DestinationType[] {
  const place = types.findIndex((one) => !BUILT_IN_TYPES.includes(one));
  return differing(place < 0 ? [...types, type] : types.toSpliced(place, 0, type));
}

function differing(all: readonly DestinationType[]): readonly DestinationType[] {
  const names = all.map((one) => one.type);
  refuseTwice("destinationTypes", names, "give yours another name");
  return all;
}
