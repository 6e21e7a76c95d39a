/** Writes the versions of an app's processes, and refuses one whose steps have changed under the same number. */

import { PawlError } from "../base/errors.ts";
import type { Executor } from "../store/executor.ts";
import { type AnyProcess, type ShapeStep, shapeOf } from "./define-process.ts";
import { allVersions } from "./definition.ts";
import { defineProcesses } from "./sql.ts";

/** @throws PawlError `process_changed` with the difference */
export async function registerProcesses(
  executor: Executor,
  application: string,
  processes: readonly AnyProcess[],
): Promise<void> {
  const all = allVersions(processes);
  if (all.length === 0) return;
  const changed = await defineProcesses(
    executor,
    application,
    all.map((one) => ({
      process: one.name,
      version: one.version,
      title: one.title,
      shape: shapeOf(one),
      columns: one.columns,
      keep_sent_ms: one.keepMs.sent,
      keep_results_ms: one.keepMs.results ?? null,
    })),
  );
  const [first] = changed;
  if (first === undefined) return;
  const now = all.find((one) => one.name === first.process && one.version === first.version);
  throw new PawlError(
    "process_changed",
    `process "${first.process}" version ${first.version}: its steps are not those that its runs or live workers have under this version:\n${difference(first.stored, now === undefined ? [] : shapeOf(now))}\nGive the new steps another \`version\`, and put the old definition into its \`older\`, so that its runs can end`,
    { data: { process: first.process, version: first.version } },
  );
}

/** Line by line: what stays, what is gone (-), and what is new (+). */
function difference(stored: readonly ShapeStep[], now: readonly ShapeStep[]): string {
  const before = stored.map(lineOf);
  const after = now.map(lineOf);
  const lines: string[] = [];
  let i = 0;
  for (const line of after) {
    const at = before.indexOf(line, i);
    if (at < 0) lines.push(`+ ${line}`);
    else {
      lines.push(...before.slice(i, at).map((gone) => `- ${gone}`), `  ${line}`);
      i = at + 1;
    }
  }
  return [...lines, ...before.slice(i).map((gone) => `- ${gone}`)].join("\n");
}

function lineOf({ name, kind, signal }: ShapeStep): string {
  return `${kind} ${name}${signal !== undefined && signal !== name ? ` (signal ${signal})` : ""}`;
}
