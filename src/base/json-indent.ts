/** JSON for people, from its text: nothing is parsed, so no digit is lost. */

import { tokensOf } from "./json-text.ts";

/** Deeper than this nobody reads, and a deep one would become as long as the square of its depth. */
const INDENT_MAX = 40;

/** As `JSON.stringify(value, null, 2)` would write it. */
export function indentedJson(json: string): string {
  const parts: string[] = [];
  let depth = 0;
  let isAtStart = false;
  const line = () => parts.push("\n", "  ".repeat(Math.min(depth, INDENT_MAX)));
  for (const token of tokensOf(json)) {
    const isClosing = token === "}" || token === "]";
    if (isClosing) depth -= 1;
    if (isClosing !== isAtStart && (isClosing || isAtStart)) line();
    parts.push(token === ":" ? ": " : token);
    isAtStart = token === "{" || token === "[";
    if (isAtStart) depth += 1;
    if (token === ",") line();
  }
  return parts.join("");
}
