/** Fields that many verbs share. */

import { type Field, withDefault } from "../../options/field.ts";
import { flag, integer } from "../../options/kinds.ts";

const LIMIT_DEFAULT = 50;
const LIMIT_MAX = 10_000;

export function limit(
  fallback: number = LIMIT_DEFAULT,
  max: number = LIMIT_MAX,
): Field<number, number, "default"> {
  return withDefault(fallback, integer({ help: "the maximum number of rows", max }));
}

export const dryRun: Field<boolean> = flag("say what would happen, change nothing");
