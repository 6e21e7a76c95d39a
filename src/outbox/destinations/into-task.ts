/** What destinations share that make a task of an event, in the delivery's own transaction. */

import { PawlError } from "../../base/errors.ts";
import { textIfSame } from "../../base/json-text.ts";
import { isA } from "../../base/thrown.ts";
import { InvalidPayload } from "../../kernel/task.ts";
import type { Executor } from "../../store/executor.ts";
import { inForeignTransaction, type Transaction } from "../../store/transaction.ts";
import { envelopeText } from "./envelope.ts";
import type { OutboxEvent } from "./types.ts";

/** The largest input that an app may permit; the database holds the app's own limit. */
export const INPUT_BYTES_MAX: number = 64 * 1_048_576;
/** The event makes them: no further try can help. */
const ABOUT_THE_INPUT: ReadonlySet<string> = new Set([
  "invalid_payload",
  "payload_not_json",
  "payload_too_large",
]);

/** The stored text, if the input is the event's own. `isEvent`: it is what a webhook sends. */
export function exactText(
  event: OutboxEvent,
  input: unknown,
  isEvent: boolean,
): string | undefined {
  if (isEvent) return envelopeText(event);
  const isPayload = typeof input === "object" && input !== null && input === event.payload;
  return isPayload ? textIfSame(input, event.payloadText) : undefined;
}

/** @throws InvalidPayload for an input that no other try would make better */
export function writeTask<Row>(
  tx: Transaction,
  write: (executor: Executor) => Promise<Row[]>,
): Promise<Row[]> {
  return deadIfUnfit(() => inForeignTransaction(tx, sameText, write));
}

/** The transaction of a task inserts the schema's name itself. */
function sameText(text: string): string {
  return text;
}

/** The same for what makes the task. */
export async function deadIfUnfit<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isA(error, PawlError) && ABOUT_THE_INPUT.has(error.code)) {
      throw new InvalidPayload(error.message, { cause: error });
    }
    throw error;
  }
}
