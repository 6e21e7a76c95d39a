/** Text that came from elsewhere must not steer the terminal of who reads it, nor turn the direction of writing. */

/** Control characters but tab and line end, line separators, marks of direction, and invisible tags. */
const STEERING =
  /(?![\n\t])[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|[\u{e0000}-\u{e007f}]/gu;

/** In JSON it is the same text. */
export function withoutSteering(text: string): string {
  return text.replace(STEERING, escaped);
}

function escaped(characters: string): string {
  const units = Array.from({ length: characters.length }, (_, i) => characters.charCodeAt(i));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
}
