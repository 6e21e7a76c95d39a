/** Who acts, and why: options of every command that changes something, kept in the audit. */

import os from "node:os";
import type { Command } from "commander";
import { PawlError, shown } from "../base/errors.ts";
import type { Act } from "../kernel/people/audit/sql.ts";

const CHARS_MAX = 500;

export function withAct(
  made: Command,
  { isWhyRequired = false }: { isWhyRequired?: boolean } = {},
): Command {
  const why = `the reason, for the audit${isWhyRequired ? "; required" : ""}`;
  return made
    .option("--why <text>", why, brief("--why"))
    .option("--by <name>", "who does it, for the audit", brief("--by"), currentPerson());
}

export function actOf({ by, why }: Act): Act {
  return { by, why };
}

function brief(flag: string): (text: string) => string {
  return (text) => {
    if (text.trim() !== "" && text.length <= CHARS_MAX) return text;
    throw new PawlError(
      "invalid_option",
      `expected ${flag} to be a text of 1 to ${CHARS_MAX} characters, got ${shown(text)}`,
      { data: { option: flag, value: text } },
    );
  };
}

/** `ada@host`. The system may know no name for the user, as in a container that runs under any uid. */
function currentPerson(): string {
  return `${userName()}@${os.hostname()}`;
}

function userName(): string {
  try {
    return os.userInfo().username;
  } catch {
    return process.env.USER || `uid ${process.getuid?.() ?? "unknown"}`;
  }
}
