/** What each file of this folder says about one library: which handles are its, and how a statement goes through them. */

import { read } from "../base/thrown.ts";

/** How Pawl's statements go through a transaction. */
export interface Adapted {
  /** As in messages. */
  readonly library: string;
  /** The handle stands for one transaction and is useless after it. A client of pg may begin the next one. */
  readonly isOneTransaction: boolean;
  /** Placeholders are `$1`, `$2` … in their order, values are texts or null. Returns the rows, or `{ rows }`. */
  readonly query: (text: string, values: readonly unknown[]) => unknown;
}

/** Undefined: it is not of this library. Otherwise a transaction of it, or why it is none. */
export type Found = Adapted | { readonly library: string; readonly refusal: string } | undefined;

export function hasMethods(given: unknown, ...names: readonly string[]): boolean {
  return names.every((name) => typeof read(given, name) === "function");
}

/** For libraries that write a placeholder as `?`. Statements of Pawl use each `$n` once, in order, and hold no `?`. */
export function withQuestionMarks(text: string): string {
  return text.replace(/\$\d+/g, "?");
}
