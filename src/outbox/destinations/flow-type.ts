/** Flows as operators add them: an event raised again under a name that other routes take. */

import { COMMON_FIELDS } from "./common-options.ts";
import type { ConfigFields } from "./fields.ts";
import { FORWARDED, flow } from "./flow.ts";
import type { DestinationType } from "./types.ts";

const FIELDS: ConfigFields = {
  name: {
    kind: "text",
    label: "Raised as",
    default: FORWARDED,
    help: "an event of this name, taken by other routes than the one that leads here",
  },
  ...COMMON_FIELDS,
};

export const flowType: DestinationType = {
  type: "flow",
  label: "Raise again inside the app",
  fields: FIELDS,
  define: (config) => flow(config),
};
