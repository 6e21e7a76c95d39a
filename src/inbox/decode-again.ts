/** Bytes that were set aside and that a person wants tried again: decoded anew, and then events like any other. */

import { toError } from "../base/errors.ts";
import type { Store } from "../store/store.ts";
import { encodeGood, storableText } from "./contract.ts";
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
  for (const { number, event_id, raw, is_event } of await rawEvents(store, id, BATCH)) {
    try {
      const event = is_event
        ? (parsed(raw) as SourceEvent)
        : (source.decode?.(raw, event_id) ?? { id: event_id, payload: parsed(raw) });
      decoded.push(encodeGood({ ...event, id: event_id }, payloadBytesMax, number));
    } catch (error) {
      failed.push({ number, error: storableText(toError(error).message) });
    }
  }
  if (decoded.length + failed.length === 0) return;
  await settleRaw(store, id, `[${decoded.join(",")}]`, failed);
}

function parsed(raw: Uint8Array): unknown {
  return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(raw));
}
