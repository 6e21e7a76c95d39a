/** What an app defines of processes. */

import { PawlError, shown } from "../base/errors.ts";
import { type AppBase, type Definition, definition } from "../kernel/part.ts";
import { type FieldsOf, withDefault } from "../options/field.ts";
import { listOf } from "../options/parts.ts";
import type { QueueApp } from "../queue/definition.ts";
import { type AnyProcess, isProcess } from "./define-process.ts";

export const PROCESSES_QUEUE = "processes";

export interface ProcessAppOptions {
  processes?: readonly AnyProcess[];
}

export interface ProcessApp extends AppBase {
  readonly processes: readonly AnyProcess[];
}

const FIELDS = {
  processes: withDefault([], listOf<AnyProcess>("each made by defineProcess")),
} satisfies FieldsOf<ProcessAppOptions>;

export const processDefinition: Definition = definition(FIELDS, ({ processes }, app: QueueApp) => {
  if (app.queues.some((queue) => queue.name === PROCESSES_QUEUE)) {
    throw new PawlError(
      "invalid_option",
      "`queues.processes` is the queue of runs of processes; choose another name",
    );
  }
  checkProcesses(processes);
  return { processes } satisfies Omit<ProcessApp, keyof AppBase>;
});

function checkProcesses(processes: readonly AnyProcess[]): void {
  const seen = new Set<string>();
  for (const one of processes) {
    if (!isProcess(one)) {
      throw new PawlError(
        "invalid_option",
        `processes: expected values made by defineProcess(...), got ${shown(one)}`,
      );
    }
    if (seen.has(one.name)) {
      throw new PawlError(
        "duplicate_name",
        `processes: two are named "${one.name}"; put earlier versions into \`older\` of the newest`,
      );
    }
    seen.add(one.name);
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
