/** Verbs without a noun, because they ask several parts: `pawl.stats()` and `pawl.why(id)`. */

import type { WhyCommand } from "../control/operator/why.ts";
import type { WhySource } from "../inbox/operator/why.ts";
import type { TaskId } from "../kernel/task.ts";
import { type Desk, type Noun, type Verb, verb } from "../operate/verb.ts";
import type { WhyTarget } from "../operate/why.ts";
import { field, required } from "../options/field.ts";
import { type Stats, stats } from "../outbox/operator/stats.ts";
import type { WhyEvent, WhyTask } from "../outbox/why.ts";
import type { WhySchedule } from "../schedule/operator/why.ts";
import type { Executor } from "../store/executor.ts";
import type { AppPart } from "./parts.ts";

export interface Root {
  /** Returns what waits, runs and is dead in each queue, and how many events wait for the router. */
  stats(): Promise<Stats>;
  /**
   * Returns why a task, a delivery, an event, a source (`source:<name>`), a command (`command:<key>`) or a schedule (`schedule:<name>`) is in
   * its state, and what would change that.
   * @throws PawlError `invalid_option`, `task_not_found`, `event_not_found`, `source_not_found`, `command_not_found`, `schedule_not_found`
   */
  why(id: TaskId): Promise<Found>;
}

type Found = WhyTask | WhyEvent | WhySource | WhyCommand | WhySchedule;

function whyVerb(parts: readonly AppPart[]): Verb<Root["why"], Desk> {
  const targets = parts.flatMap((part) => part.whys ?? []);
  const things = oneOf(targets.map((target) => target.what));
  const id = field<TaskId, { target: WhyTarget; id: string }>({
    kind: "target",
    help: `of ${things}`,
    shape: "id",
    expected: oneOf(targets.map((target) => target.id)),
    read: (given) => {
      for (const target of targets) {
        const known = target.idOf(given);
        if (known !== undefined) return { target, id: known };
      }
      return undefined;
    },
  });
  return verb({
    help: `Say why ${things} is not moving`,
    examples: targets.map((target) => target.example),
    input: { id: required(id) },
    args: ["id"],
    isTolerant: true,
    run: async ({ store }: Desk, { id: { target, id: asked } }) => {
      const found = (await target.why(store, asked)) as Found;
      return target.isTask ? withMore(parts, store, found as WhyTask) : found;
    },
    text: (found, { id: asked }) => asked.target.text(found),
  });
}

/** With what the part says of it whose task it is. */
async function withMore(
  parts: readonly AppPart[],
  executor: Executor,
  found: WhyTask,
): Promise<WhyTask> {
  for (const { whyTask } of parts) {
    const more = await whyTask?.(executor, found);
    if (more !== undefined) return { ...found, ...more };
  }
  return found;
}

/** `a, b or c` */
function oneOf(things: readonly string[]): string {
  const last = things.at(-1) ?? "";
  return things.length < 2 ? last : `${things.slice(0, -1).join(", ")} or ${last}`;
}

/** Verbs without a noun. */
export function rootNoun(parts: readonly AppPart[]): Noun<Root, Desk> {
  return {
    name: "",
    help: "Look at all of it",
    verbs: { stats, why: whyVerb(parts) },
  };
}
