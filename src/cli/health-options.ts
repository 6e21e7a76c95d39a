/** The health port of a worker, as `pawl work` and `pawl health` take it. */

import { PawlError, shown } from "../base/errors.ts";
import type { Field } from "../options/field.ts";
import { integer, text } from "../options/kinds.ts";

const PORT_MAX = 65_535;
const VARIABLE = "PAWL_HEALTH_PORT";

/** Where a worker answers unless it is told. */
export const HEALTH_HOST = "127.0.0.1";

interface HealthFields {
  readonly healthPort: Field<number>;
  readonly healthHost: Field<string>;
}

/** @param min 0 where a free port may be chosen */
export function healthFields(min: 0 | 1): HealthFields {
  const help = "the port for /live and /ready of the worker";
  const free = min === 0 ? "0: a free one; " : "";
  return {
    healthPort: integer({
      help: `${help} (${free}default: ${VARIABLE}, else none)`,
      min,
      max: PORT_MAX,
    }),
    healthHost: text(
      `the address of that port; 0.0.0.0 for probes from other machines (default: ${HEALTH_HOST})`,
      "address",
    ),
  };
}

/** @throws PawlError `invalid_environment` */
export function healthPort({
  healthPort: given,
}: {
  healthPort?: number | undefined;
}): number | undefined {
  if (given !== undefined) return given;
  const said = process.env[VARIABLE];
  if (said === undefined || said === "") return undefined;
  const port = Number(said);
  if (/^\d+$/.test(said) && port >= 1 && port <= PORT_MAX) return port;
  throw new PawlError(
    "invalid_environment",
    `expected ${VARIABLE} to be a port from 1 to ${PORT_MAX}, got ${shown(said)}`,
    { data: { variable: VARIABLE } },
  );
}
