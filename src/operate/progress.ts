/** How far a verb is that changes many things, as `report` tells it. */

const BAR_CHARS = 20;

export function progressText(action: string, done: number, all: number): string {
  const full = Math.min(BAR_CHARS, Math.round((done / all) * BAR_CHARS));
  return `${action}: [${"#".repeat(full)}${".".repeat(BAR_CHARS - full)}] ${done} of ${all}`;
}
