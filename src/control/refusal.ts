/** Why a command does not start, in words. */

import { PawlError } from "../base/errors.ts";
import { offText, quietText } from "../kernel/operator/held-text.ts";
import { iso } from "../operate/table.ts";
import type { CommandHolder, StartedCommand } from "./sql.ts";

export function refusalOf(
  key: string,
  started: Exclude<StartedCommand, { refusal: null }>,
): PawlError {
  switch (started.refusal) {
    case "running":
      return new PawlError("command_running", `command "${key}": ${runsText(started.holder)}`, {
        data: { command: key, holder: started.holder },
      });
    case "locked":
      return new PawlError(
        "command_locked",
        `command "${key}": locked: its run on ${holderText(started.holder)} did not end; find out what it has done, then release it: pawl locks release ${key} --why "..."`,
        { data: { command: key, holder: started.holder } },
      );
    case "off":
      return new PawlError("command_off", `command "${key}": ${offText(started.off)}`, {
        data: { command: key, off: started.off },
      });
    case "quiet":
      return new PawlError("command_quiet", `command "${key}": ${quietText(started.quiet)}`, {
        data: { command: key, quiet: started.quiet },
      });
    default:
      return started satisfies never;
  }
}

/** The run may have ended since. */
function runsText(holder: CommandHolder | null): string {
  if (holder === null) return "it was running a moment ago; try again";
  return `it runs already on ${holderText(holder)}; see \`pawl commands list\``;
}

function holderText(holder: CommandHolder | null): string {
  if (holder === null) return "an unknown host";
  return `host ${holder.host} (pid ${holder.pid}), since ${iso(holder.since)}, started by ${holder.by}`;
}

export function offHere(key: string, scope: string, host: string): PawlError {
  return new PawlError(
    "command_off",
    `command "${key}": ${scope} is off on host ${host}, by a file in locks/ or by PAWL_OFF; remove it to let the command start`,
    { data: { command: key, scope, host } },
  );
}
