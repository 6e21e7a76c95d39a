/** Registers the commands that the code defines, so that lists, switches and operators see them. */

import type { Executor } from "../store/executor.ts";
import type { Command } from "./define-command.ts";
import { writeCommands } from "./sql.ts";

export async function registerCommands(
  executor: Executor,
  owner: { application: string; revision: number },
  commands: readonly Command[],
): Promise<void> {
  if (commands.length === 0) return;
  await writeCommands(executor, {
    ...owner,
    commands: commands.map(({ name, title, params, expectedMs, timeoutMs, onCrash }) => ({
      name,
      title,
      params: params.map(String),
      expected_ms: expectedMs,
      timeout_ms: timeoutMs,
      on_crash: onCrash,
    })),
  });
}
