/** Jobs as operators choose them: by the name under which some code defines them. */

import { COMMON_FIELDS } from "./common-options.ts";
import type { ConfigFields } from "./fields.ts";
import { type JobKindOptions, toJobNamed } from "./job.ts";
import type { DestinationType } from "./types.ts";

const FIELDS: ConfigFields = {
  job: {
    kind: "text",
    label: "Job",
    required: true,
    help: "the name of a job that the code defines; its input is what a webhook sends",
  },
  queue: { kind: "text", label: "Queue", help: "default: the job's own" },
  ...COMMON_FIELDS,
};

export const jobType: DestinationType = {
  type: "job",
  label: "Job of the app",
  fields: FIELDS,
  define: (config) => toJobNamed(config as unknown as JobKindOptions),
};
