/** The order of test files: those with whole programs and fleets of processes first, so that none of them is the last to end. */

import { BaseSequencer, type TestSpecification } from "vitest/node";

const LONG = /\/test\/(?:examples|faults|compat)\//;

export class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLong = ({ moduleId }: TestSpecification) => LONG.test(moduleId);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}
