/** Tests of the embedded server, and of whole programs on it: left out where another server was given, on which they prove nothing more. */

import { test as always } from "vitest";

export const isAnotherServerGiven: boolean = (process.env.PAWL_TEST_DATABASE_URL ?? "") !== "";
export const test: ReturnType<typeof always.skipIf> = always.skipIf(isAnotherServerGiven);
