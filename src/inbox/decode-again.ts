/** Bytes that were set aside and that a person wants tried again: decoded anew, and then events like any other. */

import { toError } from "../base/errors.ts";
import type { Store } from "../store/store.ts";
import { encodeGood } from "./contract.ts";
import type { SourceBase, SourceEvent } from "./source.ts";
import { rawEvents, settleRaw } from "./sql.ts";

const BATCH = 100;

export async function decodeAgain(
  store: Store,
  id: number,
  source: SourceBase,
  payloadBytesMax: number,
): Promise<void> {
  const decoded: string[] = [];
  const failed: { number: string; error: string }[] = [];
  for (const { number, event_id, raw } of await rawEvents(store, id, BATCH)) {
    try {
      const event = source.decode?.(raw, event_id) ?? decodeJson(raw, event_id);
      decoded.push(encodeGood({ ...event, id: event_id }, payloadBytesMax, number));
    } catch (error) {
      failed.push({ number, error: toError(error).message });
    }
  }
  if (decoded.length + failed.length === 0) return;
  await settleRaw(store, id, `[${decoded.join(",")}]`, failed);
}

function decodeJson(raw: Uint8Array, id: string): SourceEvent {
  return { id, payload: JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(raw)) };
}
