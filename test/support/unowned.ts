/** Rejections that nobody handles: each would end the process. */

import { onTestFinished } from "vitest";

/** Those of the rest of this test. */
export function unowned(): unknown[] {
  const seen: unknown[] = [];
  const note = (reason: unknown) => {
    seen.push(reason);
  };
  process.on("unhandledRejection", note);
  onTestFinished(() => {
    process.off("unhandledRejection", note);
  });
  return seen;
}
