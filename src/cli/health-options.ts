/** The health port of a worker, as `pawl work` and `pawl health` take it. */

import { PawlError, shown } from "../base/errors.ts";
import { type Field, withDefault } from "../options/field.ts";
import { integer, text } from "../options/kinds.ts";

const PORT_MAX = 65_535;
const VARIABLE = "PAWL_HEALTH_PORT";

export const HEALTH_FIELDS: {
  readonly healthPort: Field<number>;
  readonly healthHost: Field<string, string, "default">;
} = {
  healthPort: integer({
    help: `the port for /live and /ready of the worker (0: a free one; default: ${VARIABLE}, else none)`,
    min: 0,
    max: PORT_MAX,
  }),
  healthHost: withDefault(
    "127.0.0.1",
    text("the address of that port; 0.0.0.0 for probes from other machines", "address"),
  ),
};

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
