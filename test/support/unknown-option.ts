/** A call that gets a misspelt option, and what it has to answer: for tables of calls. */

import { expect, vi } from "vitest";
import { PawlError } from "../../src/base/errors.ts";
import { askedOf } from "./sent.ts";

/** The misspelt option, the one that is meant or none, and the call. */
export type Row = readonly [misspelt: string, meant: string | null, call: (odd: object) => unknown];

/** Calls that take no options are not typed for any. */
export function loose(call: (...given: never[]) => unknown): (...given: unknown[]) => unknown {
  return call as (...given: unknown[]) => unknown;
}

/** It says what it does not know, and what is meant, and sends nothing. @param url of the database that the call is for, if any */
export async function expectRefusal(
  call: string,
  [misspelt, meant, run]: Row,
  url?: string,
): Promise<void> {
  const asked = askedOf(url);
  const error = await refusalOf(() => run({ [misspelt]: 1 }));
  const count = asked();
  vi.restoreAllMocks();
  expect(error).toBeInstanceOf(PawlError);
  expect(error).toMatchObject({ code: "invalid_option", data: { option: misspelt } });
  const near = meant === null ? "it takes none" : `did you mean "${meant}"?`;
  const { message } = error as PawlError;
  expect(message).toContain(`: no option \`${misspelt}\`; ${near}`);
  expect(message.startsWith(call), `${message} begins with ${call}`).toBe(true);
  expect(count, "statements that were sent").toBe(0);
}

async function refusalOf(run: () => unknown): Promise<unknown> {
  try {
    return await run();
  } catch (error) {
    return error;
  }
}
