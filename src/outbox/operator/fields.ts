/** Fields of the verbs of routes. */

import { type Field, required } from "../../options/field.ts";
import { numberId } from "../../options/kinds.ts";

export const ROUTE_ID: Field<string | number | bigint, string, "required"> = required(
  numberId("the route", "route's id"),
);
