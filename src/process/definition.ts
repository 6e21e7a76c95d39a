/** What an app defines of processes. */

import { PawlError } from "../base/errors.ts";
import { type AppBase, type Definition, definition } from "../kernel/part.ts";
import { type FieldsOf, withDefault } from "../options/field.ts";
import { definitions } from "../options/parts.ts";
import type { OutboxApp } from "../outbox/definition.ts";
import { withType } from "../outbox/destinations/registry.ts";
import type { QueueApp } from "../queue/definition.ts";
import type { AnyProcess } from "./define-process.ts";
import { processType } from "./destination/process-type.ts";
import { isProcess } from "./step.ts";

export const PROCESSES_QUEUE = "processes";

export interface ProcessAppOptions {
  processes?: readonly AnyProcess[];
}

export interface ProcessApp extends AppBase {
  readonly processes: readonly AnyProcess[];
}

const FIELDS = {
  processes: withDefault(
    [],
    definitions<AnyProcess>({
      isOne: isProcess,
      maker: "defineProcess",
      remedy: "put earlier versions into `older` of the newest",
    }),
  ),
} satisfies FieldsOf<ProcessAppOptions>;

export const processDefinition: Definition = definition(
  FIELDS,
  ({ processes }, app: QueueApp & OutboxApp) => {
    if (app.queues.some((queue) => queue.name === PROCESSES_QUEUE)) {
      throw new PawlError(
        "invalid_option",
        "`queues.processes` is the queue of runs of processes; choose another name",
      );
    }
    checkChildren(allVersions(processes));
    return {
      processes,
      destinationTypes: withType(app.destinationTypes, processType),
    } satisfies Omit<ProcessApp, keyof AppBase> & Pick<OutboxApp, "destinationTypes">;
  },
);

/** A worker that runs the step can run the child. */
function checkChildren(all: readonly AnyProcess[]): void {
  for (const { name, version, steps } of all) {
    for (const { name: step, child } of steps) {
      if (child === null) continue;
      const { process } = child;
      if (all.some((one) => one.name === process.name && one.version === process.version)) continue;
      throw new PawlError(
        "invalid_option",
        `process "${name}" version ${version}, step "${step}": it starts "${process.name}" version ${process.version}, which is not in the app's \`processes\`; add it there, or to \`older\` of a newer version`,
      );
    }
  }
}

/** With their older versions. */
export function allVersions(processes: readonly AnyProcess[]): AnyProcess[] {
  const seen = new Map<string, AnyProcess>();
  const add = (one: AnyProcess) => {
    const key = `${one.name} ${one.version}`;
    if (seen.has(key)) return;
    seen.set(key, one);
    one.older.forEach(add);
  };
  processes.forEach(add);
  return [...seen.values()];
}
