/** What an app defines of sources. */

import { aboutIt } from "../base/errors.ts";
import { type AppBase, type Definition, definition } from "../kernel/part.ts";
import { type FieldsOf, withDefault } from "../options/field.ts";
import { definitions } from "../options/parts.ts";
import { isSource, type SourceDefinition } from "./source.ts";

export interface InboxAppOptions {
  /** The sources to load into the inbox. */
  sources?: readonly SourceDefinition[];
}

export interface InboxApp extends AppBase {
  readonly sources: readonly SourceDefinition[];
}

const FIELDS = {
  sources: withDefault(
    [],
    definitions<SourceDefinition>({
      isOne: isSource,
      maker: "httpSource(...), rabbitmqStream(...) or defineSource",
    }),
  ),
} satisfies FieldsOf<InboxAppOptions>;

export const inboxDefinition: Definition = definition(FIELDS, ({ sources }, { http }) => {
  for (const source of sources)
    aboutIt(`source "${source.name}"`, () => source.checkHost?.(http.allow ?? []));
  return { sources } satisfies Omit<InboxApp, keyof AppBase>;
});
