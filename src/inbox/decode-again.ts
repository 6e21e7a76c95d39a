/** Decodes bytes again that were set aside and that a person retries; then they are events like any other. */

import { decodeText } from "../base/charset.ts";
import { rawJson, textAt } from "../base/json-text.ts";
import { storableText } from "../base/text.ts";
import { messageOf } from "../base/thrown.ts";
import type { Store } from "../store/store.ts";
import { encodeGood } from "./contract.ts";
import type { SourceBase, SourceEvent } from "./source.ts";
import { rawEvents, settleRaw } from "./sql.ts";

const BATCH = 100;
const BATCH_BYTES_MAX = 4 * 1_048_576;

export async function decodeAgain(
  store: Store,
  id: number,
  source: SourceBase,
  payloadBytesMax: number,
): Promise<void> {
  const decoded: string[] = [];
  const failed: { number: string; error: string }[] = [];
  for (const { number, event_id, raw, is_event } of await rawEvents(
    store,
    id,
    BATCH,
    BATCH_BYTES_MAX,
  )) {
    try {
      const event = is_event
        ? eventAgain(textOf(raw))
        : (source.decode?.(raw, event_id) ?? { id: event_id, payload: rawJson(textOf(raw)) });
      decoded.push(encodeGood(event, payloadBytesMax, number));
    } catch (error) {
      failed.push({ number, error: storableText(messageOf(error)) });
    }
  }
  if (decoded.length + failed.length === 0) return;
  await settleRaw(store, id, `[${decoded.join(",")}]`, failed);
}

/** What `checkPage` wrote for an event that could not be stored. */
function eventAgain(text: string): SourceEvent {
  const { name, occurredAt, id } = JSON.parse(text) as SourceEvent;
  const [payload = "null", meta] = [textAt(text, ["payload"]), textAt(text, ["meta"])];
  return {
    id,
    ...(name !== undefined && { name }),
    ...(occurredAt !== undefined && { occurredAt }),
    payload: rawJson(payload),
    ...(meta !== undefined && { meta: rawJson(meta) as unknown as Record<string, unknown> }),
  };
}

function textOf(raw: Uint8Array): string {
  return decodeText(raw, undefined);
}
