/** Texts that came from elsewhere have a bound wherever they are kept or shown. */

/** Of one text, such as a message. */
export const TEXT_CHARS_MAX = 8_000;

/** Cut without halving a surrogate pair. */
export function cut(text: string, charsMax: number): string {
  if (text.length <= charsMax) return text;
  const code = text.charCodeAt(charsMax - 1);
  const isHigh = code >= 0xd800 && code < 0xdc00;
  return text.slice(0, isHigh ? charsMax - 1 : charsMax);
}
