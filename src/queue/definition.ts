/** What an app defines of queues and jobs. */

import { type AppBase, type Definition, definition } from "../kernel/part.ts";
import { type FieldsOf, withDefault } from "../options/field.ts";
import { definitions, object } from "../options/parts.ts";
import { type AnyJob, isJob, refuseUnknownQueue } from "./job.ts";
import {
  DEFAULT_QUEUES,
  defineQueue,
  type QueueDefinition,
  type QueueOptions,
} from "./queue-options.ts";

export interface QueueAppOptions {
  /** Queues to add to the defaults `high`, `normal` and `low`, or to replace them, in the order in which workers prefer them. */
  queues?: Record<string, QueueOptions>;
  jobs?: readonly AnyJob[];
}

export interface QueueApp extends AppBase {
  readonly queues: readonly QueueDefinition[];
  readonly jobs: readonly AnyJob[];
}

const FIELDS = {
  queues: withDefault({}, object<Record<string, QueueOptions>>("each by its name")),
  jobs: withDefault([], definitions<AnyJob>({ isOne: isJob, maker: "defineJob" })),
} satisfies FieldsOf<QueueAppOptions>;

export const queueDefinition: Definition = definition(FIELDS, (read) => {
  const queues = allQueues(read.queues);
  const names = queues.map((queue) => queue.name);
  for (const job of read.jobs) refuseUnknownQueue(job, names);
  return { queues, jobs: read.jobs } satisfies Omit<QueueApp, keyof AppBase>;
});

/** The app's order first; the default queues that it does not name come after. */
function allQueues(named: Record<string, QueueOptions>): QueueDefinition[] {
  const names = [...new Set([...Object.keys(named), ...Object.keys(DEFAULT_QUEUES)])];
  return names.map((name) => ({
    ...defineQueue(name, { ...DEFAULT_QUEUES[name], ...named[name] }),
    isDefault: !Object.hasOwn(named, name),
  }));
}
