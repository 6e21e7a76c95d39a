/** What the outbox does in a worker: it routes, delivers, and works replays off. */

import { checkOne, type PartTools, type PartWork } from "../kernel/part.ts";
import type { HttpSender } from "../sender/sender.ts";
import type { Executor } from "../store/executor.ts";
import type { OutboxApp } from "./definition.ts";
import { deliverer } from "./deliver.ts";
import type { References } from "./destinations/references.ts";
import { recordingsOf } from "./recordings.ts";
import { OWN_QUEUE, replayHandler } from "./replay/task.ts";
import { router } from "./router.ts";
import type { NamedDestination } from "./routes.ts";
import { hasWork, operatorsDestinations } from "./sql.ts";

export interface OutboxTools extends PartTools {
  app: OutboxApp;
  http: HttpSender;
  references: References;
}

export function queuesOfDestinations({ destinations }: OutboxApp): string[] {
  return destinations.map((one) => one.queue);
}

export async function operatorsQueues(executor: Executor): Promise<string[]> {
  return (await operatorsDestinations(executor)).map((one) => one.queue);
}

export async function checkDestinations({ app, plan }: OutboxTools): Promise<void> {
  for (const { name, definition } of servedBy(app, plan))
    await checkOne(`destination "${name}"`, () => definition.check?.());
}

export async function outboxWork(tools: OutboxTools): Promise<PartWork> {
  const work = tools.plan.runsTasks ? await tasksWork(tools) : {};
  const { observer } = tools.plan;
  if (observer?.recorded === undefined) return work;
  const heard = recordingsOf(tools.store).of(observer);
  return {
    ...work,
    loops: (kernel) => [...(work.loops?.(kernel) ?? []), heard.loop],
    close: async () => {
      await work.close?.();
      await heard.close();
    },
  };
}

async function tasksWork(tools: OutboxTools): Promise<PartWork> {
  const { handlers = [], ...work } = await deliveriesWork(tools);
  return { ...work, handlers: [...handlers, replayHandler(tools.store)], queues: [OWN_QUEUE] };
}

/** The same without replays. */
export async function deliveriesWork(tools: OutboxTools): Promise<PartWork> {
  const { app, store, http, log, plan, references } = tools;
  const deliveries = await deliverer({
    executor: store,
    destinations: app.destinations,
    types: app.destinationTypes,
    references,
    http,
    observer: plan.observer,
  });
  return {
    handlers: deliveries.handlers,
    serving: { destinations: servedBy(app, plan).map(({ name }) => name) },
    loops: (kernel) => [router({ store, log, ...kernel })],
    isWorkLeft: (asked) => hasWork(store, asked),
    close: () => deliveries.close(),
  };
}

function servedBy(
  { destinations }: OutboxTools["app"],
  { queues }: PartTools["plan"],
): readonly NamedDestination[] {
  return destinations.filter((one) => queues.includes(one.queue));
}
