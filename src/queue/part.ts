/** The part `queue`: jobs, run by the handlers of the app's code. */

import type { TasksDesk } from "../kernel/operator/tasks/tasks.ts";
import type { Part, PartTools } from "../kernel/part.ts";
import { QUEUE_PRODUCER_CALLS, queueCalls, queueWrites } from "./calls.ts";
import { type QueueApp, queueDefinition } from "./definition.ts";
import { editJobOf } from "./edit.ts";
import { jobHandler, requireThread } from "./job.ts";
import { behaviourRow, rateRow } from "./queue-row.ts";

interface QueueTools extends PartTools {
  app: QueueApp;
}

export type QueueProvided = Pick<TasksDesk, "editJob">;

export const queuePart: Part<QueueTools> = {
  name: "queue",
  definition: queueDefinition,
  calls: ({ app, caller }) => queueCalls(app, caller.base.store),
  provides: ({ app }) => ({ editJob: editJobOf(app) }) satisfies QueueProvided,
  producerCalls: QUEUE_PRODUCER_CALLS,
  writes: queueWrites,
  queues: ({ queues }) => queues.map((queue) => queue.name),
  catalogue: ({ jobs, queues }) => ({
    queues: queues.map((one) => ({
      name: one.name,
      retry: one.retry,
      timeout_ms: one.timeoutMs,
      shards: one.shards,
      ...behaviourRow(one),
      kind_rate: rateRow(one.kindRate),
      key_concurrency: one.keyConcurrency,
      key_rate: rateRow(one.keyRate),
      ...(one.isDefault && { is_default: true }),
    })),
    streams: jobs.map(({ queue, name, retry, timeoutMs }) => ({
      queue,
      kind: name,
      version: 1,
      retry,
      timeout_ms: timeoutMs,
      handler: `job ${name}`,
    })),
  }),
  check: async ({ app: { jobs }, plan }) => {
    if (plan.runsTasks) for (const job of jobs) requireThread(job);
  },
  work: async ({ app: { jobs, queues }, plan }) => {
    if (!plan.runsTasks) return {};
    const timeouts = new Map(queues.map((queue) => [queue.name, queue.timeoutMs]));
    return {
      handlers: jobs.map((job) => jobHandler(job, timeouts.get(job.queue) ?? null)),
      serving: { jobs: jobs.map((job) => job.name) },
    };
  },
};
