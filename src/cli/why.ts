/** `pawl why <id>`: why a task, a delivery, an event or a source is where it is, and what would free it. */

import type { Command } from "commander";
import { whySource } from "../inbox/people/why.ts";
import { whyEvent, whyTaskOrDelivery } from "../outbox/why.ts";
import type { Store } from "../store/store.ts";
import { command, does, withStore } from "./command.ts";
import { noEvent } from "./events.ts";
import type { Answer } from "./output.ts";
import { noTask } from "./task-state.ts";
import { whyTarget } from "./values.ts";

export function whyCommand(): Command {
  const made = command(
    "why <id>",
    "Say why a task, a delivery, an event or a source is not moving",
    [
      ["pawl why 42", "a task or a delivery: where it is, since when, and what would free it"],
      ["pawl why 019a0b6e-2f31-7c55-9d0a-3f1b8e6a4c21", "an event and its deliveries"],
      ["pawl why source:orders", "a source: its loading and its storing"],
    ],
  );
  return does(made, (call) => {
    const target = whyTarget(call.args[0] ?? "");
    return withStore(call, (store) => {
      if ("task" in target) return aboutTask(store, target.task);
      return "event" in target
        ? aboutEvent(store, target.event)
        : aboutSource(store, target.source);
    });
  });
}

async function aboutTask(store: Store, id: string): Promise<Answer> {
  const why = await whyTaskOrDelivery(store, id);
  if (why === undefined) throw noTask(id);
  const { delivery, line } = why;
  const what =
    delivery === undefined
      ? `task ${id}`
      : `delivery ${id} of event ${delivery.event} to ${delivery.destination} (${delivery.status})`;
  return { json: why, text: `${what}: ${line}` };
}

async function aboutEvent(store: Store, id: string): Promise<Answer> {
  const why = await whyEvent(store, id);
  if (why === undefined) throw noEvent(id);
  const text = [
    `event ${id} ${why.name} (${why.status}): ${why.line}`,
    ...why.deliveries.map(
      (one) => `delivery ${one.id} to ${one.destination} (${one.status}): ${one.line}`,
    ),
  ];
  return { json: why, text: text.join("\n") };
}

async function aboutSource(store: Store, name: string): Promise<Answer> {
  const why = await whySource(store, name);
  return { json: why, text: `source ${name} (${why.status}): ${why.line}` };
}
