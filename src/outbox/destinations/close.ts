/** What a destination has opened is let go; one whose closing throws, at once or later, stops nobody. */

import type { DestinationDefinition } from "./types.ts";

export async function closeQuietly(definition: DestinationDefinition): Promise<void> {
  try {
    await definition.close?.();
  } catch {
    // whatever it was, nothing is sent through it any more
  }
}
