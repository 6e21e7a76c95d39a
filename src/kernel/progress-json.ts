/** What a handler says of how far it is, as it is stored. A file of its own, since threads load it. */

import { toJson } from "../base/json.ts";

const PROGRESS_BYTES_MAX = 16_384;

/** @throws PawlError `payload_not_json`, `payload_too_large` */
export function progressJson(
  { taskId, kind }: { taskId: string; kind: string },
  value: unknown,
): string {
  const what = `progress of task ${taskId} (${kind})`;
  return toJson(value, { what, bytesMax: PROGRESS_BYTES_MAX, isLossy: true });
}
