/** Cleaning up after whoever opened something: after the test that runs, or after the file when none does. */

import { afterAll, onTestFinished, TestRunner } from "vitest";

/** `afterAll` called inside a running test would never be called. The last thing opened is closed first. */
export function atEnd(clean: () => unknown): void {
  const cleaning = async () => {
    await clean();
  };
  if (TestRunner.getCurrentTest() === undefined) afterAll(cleaning);
  else onTestFinished(cleaning);
}
