/** What the receivers wrote down, over all starts: each has a file of its own. Reads only what was appended since. */

import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Receipt } from "./receipt-log.ts";

const CHUNK_BYTES = 4_194_304;

export class Receipts {
  readonly #folder: string;
  readonly #offsets = new Map<string, number>();
  readonly #verified = new Map<string, number>();
  #bad = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Different events with at least one verified receipt. */
  get size(): number {
    return this.#verified.size;
  }

  /** Requests whose signature was wrong or missing. */
  get bad(): number {
    return this.#bad;
  }

  /** Verified receipts of an event. */
  count(eventId: string): number {
    return this.#verified.get(eventId) ?? 0;
  }

  async refresh(): Promise<void> {
    const names = await readdir(this.#folder);
    for (const name of names) if (name.endsWith(".ndjson")) await this.#readOn(name);
  }

  /** A last line without its end is left for the next time: it is being written, or was torn and never answered. */
  async #readOn(name: string): Promise<void> {
    const file = await open(join(this.#folder, name));
    try {
      const buffer = Buffer.alloc(CHUNK_BYTES);
      for (;;) {
        const offset = this.#offsets.get(name) ?? 0;
        const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, offset);
        const end = buffer.subarray(0, bytesRead).lastIndexOf("\n") + 1;
        if (end === 0) return;
        for (const line of buffer.toString("utf8", 0, end - 1).split("\n")) this.#add(line);
        this.#offsets.set(name, offset + end);
      }
    } finally {
      await file.close();
    }
  }

  #add(line: string): void {
    const { verified, eventId } = JSON.parse(line) as Receipt;
    if (!verified || eventId === null) this.#bad += 1;
    else this.#verified.set(eventId, this.count(eventId) + 1);
  }
}
