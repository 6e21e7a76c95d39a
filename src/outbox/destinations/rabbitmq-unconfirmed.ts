/**
 * The publications of a channel that the broker has not confirmed. It returns what it cannot route before it confirms
 * it; a return says which message that was, not which try of it, so every try that is not confirmed counts as returned:
 * at worst one is made again.
 */

import type { Options } from "amqplib";
import type { PawlError } from "../../base/errors.ts";

export interface Entry {
  readonly key: string;
  isReturned: boolean;
  readonly reject: (error: PawlError) => void;
}

export interface Unconfirmed {
  readonly size: number;
  add(properties: Options.Publish, reject: Entry["reject"]): Entry;
  remove(entry: Entry): void;
  /** The broker has sent this message back. */
  returned(properties: Options.Publish): void;
  /** Nothing will be confirmed any more. */
  failAll(error: () => PawlError): void;
}

export function openUnconfirmed(): Unconfirmed {
  const byKey = new Map<string, Set<Entry>>();
  let size = 0;
  return {
    get size() {
      return size;
    },
    add(properties, reject) {
      const entry = { key: keyOf(properties), isReturned: false, reject };
      const known = byKey.get(entry.key);
      if (known === undefined) byKey.set(entry.key, new Set([entry]));
      else known.add(entry);
      size += 1;
      return entry;
    },
    remove(entry) {
      const known = byKey.get(entry.key);
      if (known?.delete(entry) !== true) return;
      size -= 1;
      if (known.size === 0) byKey.delete(entry.key);
    },
    returned(properties) {
      for (const entry of byKey.get(keyOf(properties)) ?? []) entry.isReturned = true;
    },
    failAll(error) {
      const entries = [...byKey.values()].flatMap((known) => [...known]);
      byKey.clear();
      size = 0;
      for (const entry of entries) entry.reject(error());
    },
  };
}

function keyOf({ messageId, headers }: Options.Publish): string {
  const delivery = (headers as Record<string, unknown> | undefined)?.["x-outbox-delivery-id"];
  return `${messageId} ${String(delivery)}`;
}
