/** The part `control`: commands, which never run twice at once, and their locks. */

import { TIMER_MS_MAX } from "../base/duration.ts";
import type { Part, PartTools } from "../kernel/part.ts";
import type { Noun } from "../operate/verb.ts";
import type { WritesFor } from "../process/writes.ts";
import { alerts } from "./alerts.ts";
import { COMMANDS_QUEUE, type ControlApp, commandFiles, controlDefinition } from "./definition.ts";
import type { Commands, CommandsDesk, Locks } from "./operator/commands.ts";
import { commandsNoun, locksNoun } from "./operator/verbs.ts";
import { WHY_COMMAND, whyCommandTask } from "./operator/why.ts";
import { registerCommands } from "./register.ts";
import { commandHandler, TASK_RETRY } from "./task.ts";

interface ControlTools extends PartTools {
  app: ControlApp;
  writes: WritesFor;
}

export interface ControlNouns {
  readonly commands: Commands;
  readonly locks: Locks;
}

const nouns: { readonly [Name in keyof ControlNouns]: Noun<ControlNouns[Name], CommandsDesk> } = {
  commands: commandsNoun,
  locks: locksNoun,
};

/** Of no app: several that share a database have commands. */
const QUEUE = {
  name: COMMANDS_QUEUE,
  retry: TASK_RETRY,
  timeout_ms: null,
  shards: 1,
  is_default: true,
};

export const controlPart: Part<ControlTools, CommandsDesk> = {
  name: "control",
  definition: controlDefinition,
  nouns: Object.values(nouns) as Noun<object, CommandsDesk>[],
  whys: [WHY_COMMAND],
  whyTask: whyCommandTask,
  queues: ({ commands }) => (commands.length === 0 ? [] : [COMMANDS_QUEUE]),
  catalogue: ({ commands }) => ({
    names: { commands: commands.map(({ name }) => name) },
    queues: commands.length === 0 ? [] : [QUEUE],
    streams: commands.map(({ name, timeoutMs, expectedMs }) => ({
      queue: COMMANDS_QUEUE,
      kind: name,
      version: 1,
      retry: TASK_RETRY,
      timeout_ms: leastMs(timeoutMs ?? expectedMs),
      handler: `command ${name}`,
    })),
  }),
  switchFiles: commandFiles,
  register: (executor, owner, { commands }) => registerCommands(executor, owner, commands),
  // of any app: the process that defines a command may never be a worker
  work: async ({ app, plan, store, log, ...tools }) => ({
    handlers: plan.runsTasks
      ? app.commands.map((one) => commandHandler(one, { ...tools, store, log, groups: app.groups }))
      : [],
    loops: ({ watch }) => alerts(store, log, watch),
  }),
};

/** For quiet hours, which look so far ahead; null: as long as a job without a timeout. */
function leastMs(takesMs: number | null): number | null {
  return takesMs === null ? null : Math.min(takesMs, TIMER_MS_MAX);
}
