/** An event that is not there. */

import { PawlError } from "../../../base/errors.ts";

export function noEvent(id: string): PawlError {
  return new PawlError("event_not_found", `event ${id}: not there; see \`pawl events list\``, {
    data: { id },
  });
}
