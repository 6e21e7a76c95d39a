/** The person at the command line, for the audit. */

import os from "node:os";

/** `ada@host`. The system may not know a name for the user, for example in a container with an arbitrary uid. */
export function currentPerson(): string {
  return `${userName()}@${os.hostname()}`;
}

function userName(): string {
  try {
    return os.userInfo().username;
  } catch {
    return process.env.USER || `uid ${process.getuid?.() ?? "unknown"}`;
  }
}
