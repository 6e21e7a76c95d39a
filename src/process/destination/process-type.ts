/** Processes as operators choose them: by the name under which some code defines them. */

import { COMMON_FIELDS } from "../../outbox/destinations/common-options.ts";
import type { DestinationType } from "../../outbox/destinations/types.ts";
import { type ProcessKindOptions, toProcessNamed } from "./process.ts";

export const processType: DestinationType = {
  type: "process",
  label: "Process of the app",
  fields: {
    process: {
      kind: "text",
      label: "Process",
      required: true,
      help: "the name of a process that the code defines; its input is what a webhook sends",
    },
    ...COMMON_FIELDS,
  },
  define: (config) => toProcessNamed(config as unknown as ProcessKindOptions),
};
