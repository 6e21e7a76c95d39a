/** The part `registry`: which apps share the database, and what each of them owns. */

import type { Part, PartTools } from "../kernel/part.ts";
import type { Desk, Noun } from "../operate/verb.ts";
import { type Apps, appsNoun } from "./apps.ts";

export interface RegistryNouns {
  readonly apps: Apps;
}

export const registryPart: Part<PartTools> = {
  name: "registry",
  nouns: [appsNoun as Noun<object, Desk>],
};
