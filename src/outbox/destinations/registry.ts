/** The types of destinations that operators can add: Pawl's, and the app's own. */

import { PawlError, shown } from "../../base/errors.ts";
import { withLiveSecrets } from "./expiring-secrets.ts";
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

/**
 * A type of your own: what its config looks like, and how an event is delivered.
 *
 * @throws PawlError `invalid_option`
 */
export function defineDestinationType(type: DestinationType): DestinationType {
  const { type: name, label, fields } = type;
  const problem = !TYPE_NAME.test(name)
    ? ["type", "1 to 40 of a-z, 0-9, _ and -, starting with a letter", name]
    : typeof label !== "string" || label === ""
      ? ["label", "a text for people", label]
      : typeof fields !== "object" || fields === null
        ? ["fields", "the fields of its config by name", fields]
        : typeof type.define !== "function"
          ? ["define", "a function of the config", typeof type.define]
          : undefined;
  if (problem === undefined) return Object.freeze({ ...type });
  const [option, expected, value] = problem;
  throw new PawlError(
    "invalid_option",
    `defineDestinationType: expected \`${String(option)}\` to be ${String(expected)}, got ${shown(value)}`,
  );
}

/** Pawl's and the app's. @throws PawlError `duplicate_name`, `invalid_option` */
export function destinationTypes(own: readonly DestinationType[]): readonly DestinationType[] {
  const all = [
    ...BUILT_IN_TYPES,
    ...own.map((type) => withLiveSecrets(defineDestinationType(type))),
  ];
  const names = all.map((one) => one.type);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice === undefined) return all;
  throw new PawlError(
    "duplicate_name",
    `destinationTypes: two are named "${twice}"; give yours another name`,
  );
}
