/**
 * Text from outside, cut for keeping and showing: PostgreSQL refuses NUL and half a surrogate pair, and a
 * terminal obeys control characters. Only tab and line ends of those are kept.
 */

const CONTROL = /[^\P{Cc}\t\n\r]/gu;
const REPLACEMENT = "\ufffd";

export function excerpt(text: string, charsMax: number): string {
  return text.slice(0, charsMax).toWellFormed().replace(CONTROL, REPLACEMENT);
}
