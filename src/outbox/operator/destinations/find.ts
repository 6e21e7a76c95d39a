/** The destination that a verb is about. */

import { type Field, required } from "../../../options/field.ts";
import { name } from "../../../options/kinds.ts";
import { unknownDestination } from "../base.ts";
import { type DestinationInfo, describe } from "./describe.ts";
import type { DestinationsDesk } from "./destinations.ts";

const NAME_CHARS_MAX = 80;

export const NAME: Field<string, string, "required"> = required(
  name("the destination", "name", NAME_CHARS_MAX),
);

/** @throws PawlError `unknown_destination` */
export async function requireShown(
  desk: DestinationsDesk,
  named: string,
): Promise<DestinationInfo> {
  const [found] = await describe(desk, desk.store, named);
  if (found !== undefined) return found;
  throw await unknownDestination(desk.store, named);
}
