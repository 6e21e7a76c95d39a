/** The size that a payload or a result may have. */

export const PAYLOAD_BYTES_DEFAULT = 1_048_576;
/** Beyond this a queue is the wrong place. */
export const PAYLOAD_BYTES_MAX: number = 64 * 1_048_576;
