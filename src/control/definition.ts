/** What an app defines of commands, and which files hold one on its host. */

import { PawlError } from "../base/errors.ts";
import type { GroupsApp } from "../kernel/groups/groups.ts";
import type { SwitchFile } from "../kernel/local-switches.ts";
import { type Definition, definition } from "../kernel/part.ts";
import { type FieldsOf, withDefault } from "../options/field.ts";
import { definitions } from "../options/parts.ts";
import type { QueueApp } from "../queue/definition.ts";
import { type Command, commandKey, isCommand } from "./define-command.ts";

/** Of the runs that workers are asked for. */
export const COMMANDS_QUEUE = "commands";

export interface ControlAppOptions {
  commands?: readonly Command[];
}

export interface ControlApp extends GroupsApp {
  readonly commands: readonly Command[];
}

const FIELDS = {
  commands: withDefault([], definitions<Command>({ isOne: isCommand, maker: "defineCommand" })),
} satisfies FieldsOf<ControlAppOptions>;

export const controlDefinition: Definition = definition(FIELDS, ({ commands }, app: QueueApp) => {
  if (app.queues.some((queue) => queue.name === COMMANDS_QUEUE)) {
    throw new PawlError(
      "invalid_option",
      "`queues.commands` is the queue of commands that a worker is asked to run; choose another name",
    );
  }
  return { commands } satisfies Omit<ControlApp, keyof GroupsApp>;
});

export function commandFiles({ commands }: ControlApp): SwitchFile[] {
  return commands.flatMap(({ name, params }) =>
    filesOf([name, ...params.map((param) => commandKey(name, param))]),
  );
}

/** `import:10.disabled`, and, since `:` stands in no file's name on Windows, `import-10.disabled`. */
export function filesOf(keys: readonly string[]): SwitchFile[] {
  return keys.flatMap((key) => {
    const scope = `command:${key}`;
    return [key, key.replace(":", "-")].map((name) => [name, scope] as const);
  });
}
