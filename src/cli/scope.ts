/** Scopes as people type them: `all`, or `queue:<name>`. */

import { PawlError, shown } from "../base/errors.ts";
import { didYouMean } from "../base/suggest.ts";
import { queueNames } from "../kernel/people/sql.ts";
import type { Store } from "../store/store.ts";
import { requireKnown } from "./values.ts";

const QUEUE = "queue:";

/** @throws PawlError `invalid_option`, `unknown_queue` with the nearest scope there is */
export async function requireScope(store: Store, text: string): Promise<string> {
  if (text === "all") return text;
  const names = await queueNames(store);
  if (text.startsWith(QUEUE) && text !== QUEUE) {
    requireKnown("unknown_queue", text.slice(QUEUE.length), names);
    return text;
  }
  const near = names.includes(text)
    ? `did you mean "${QUEUE}${text}"?`
    : didYouMean(text, ["all", ...names.map((name) => QUEUE + name)]);
  throw new PawlError(
    "invalid_option",
    `expected a scope, "all" or "queue:<name>", got ${shown(text)}; ${near}`,
    { data: { option: "scope", value: text } },
  );
}
