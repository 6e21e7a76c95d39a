/** The size that a payload or a result may have. */

import { PawlError, shown } from "../base/errors.ts";

export const PAYLOAD_BYTES_DEFAULT = 1_048_576;
/** Beyond this a queue is the wrong place. */
const PAYLOAD_BYTES_MAX = 64 * 1_048_576;

/** @throws PawlError `invalid_option` */
export function payloadBytes(value: number): number {
  if (Number.isInteger(value) && value >= 1_024 && value <= PAYLOAD_BYTES_MAX) return value;
  throw new PawlError(
    "invalid_option",
    `expected \`maxPayloadBytes\` to be an integer from 1024 to ${PAYLOAD_BYTES_MAX}, got ${shown(value)}`,
  );
}
