/** Cleaning up after whoever opened something: after the test that runs, or after the file when none does. */

import { afterAll, onTestFinished, TestRunner } from "vitest";

/**
 * `afterAll` called inside a running test would never be called. The last thing opened is closed first. Of tests that
 * run beside each other nobody can tell which one is asking: they clean up themselves.
 */
export function atEnd(clean: () => unknown): void {
  const cleaning = async () => {
    await clean();
  };
  const test = TestRunner.getCurrentTest();
  if (test === undefined) afterAll(cleaning);
  else if (test.concurrent !== true) onTestFinished(cleaning);
}
