/** The logs of the receivers, over all starts: each start has its own file. Reads only what was appended since the last call. */

import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Receipt } from "./receipt-log.ts";

const CHUNK_BYTES = 4_194_304;

/** The position of a receipt: files by name, which sorts by time, and lines from 0. */
export interface Place {
  file: string;
  line: number;
}

export function isBefore(a: Place, b: Place): boolean {
  return a.file === b.file ? a.line < b.line : a.file < b.file;
}

/** The verified receipts of one path. */
export class Arrivals {
  readonly #events = new Map<string, { count: number; first: Place }>();

  /** Different events. */
  get size(): number {
    return this.#events.size;
  }

  count(eventId: string): number {
    return this.#events.get(eventId)?.count ?? 0;
  }

  first(eventId: string): Place | undefined {
    return this.#events.get(eventId)?.first;
  }

  add(eventId: string, place: Place): void {
    const known = this.#events.get(eventId);
    if (known === undefined) {
      this.#events.set(eventId, { count: 1, first: place });
      return;
    }
    known.count += 1;
    // a file that is older may still grow
    if (isBefore(place, known.first)) known.first = place;
  }
}

export class Receipts {
  readonly hub: Arrivals = new Arrivals();
  readonly ledger: Arrivals = new Arrivals();
  readonly #folder: string;
  readonly #read = new Map<string, { offset: number; lines: number }>();
  #bad = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Requests with a wrong or missing signature. */
  get bad(): number {
    return this.#bad;
  }

  async refresh(): Promise<void> {
    const names = await readdir(this.#folder);
    for (const name of names) if (name.endsWith(".ndjson")) await this.#readOn(name);
  }

  /** A last line without a line end is left for the next call: it is still being written, or was torn and never answered. */
  async #readOn(name: string): Promise<void> {
    const file = await open(join(this.#folder, name));
    try {
      const buffer = Buffer.alloc(CHUNK_BYTES);
      for (;;) {
        const { offset, lines } = this.#read.get(name) ?? { offset: 0, lines: 0 };
        const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, offset);
        const end = buffer.subarray(0, bytesRead).lastIndexOf("\n") + 1;
        if (end === 0) return;
        const more = buffer.toString("utf8", 0, end - 1).split("\n");
        for (const [index, line] of more.entries()) {
          this.#add(line, { file: name, line: lines + index });
        }
        this.#read.set(name, { offset: offset + end, lines: lines + more.length });
      }
    } finally {
      await file.close();
    }
  }

  #add(line: string, place: Place): void {
    const { path, verified, eventId } = JSON.parse(line) as Receipt;
    if (!verified || eventId === null) this.#bad += 1;
    else if (path === "/hub") this.hub.add(eventId, place);
    else if (path === "/ledger") this.ledger.add(eventId, place);
  }
}
