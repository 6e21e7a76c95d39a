/**
 * The receiver's own log: one JSON line per request, on disk before `append` resolves. Invariant: while the file is open, it
 * ends with a whole line. A last line torn by a kill was never answered, and is cut off.
 */

import { type FileHandle, open } from "node:fs/promises";

export interface Receipt {
  /** ISO 8601. */
  at: string;
  /** Where it arrived, such as `/hub`. */
  path: string;
  eventId: string | null;
  deliveryId: string | null;
  eventName: string | null;
  verified: boolean;
}

export interface Counts {
  /** Requests with a correct signature. */
  verified: number;
  /** Different events among them, at each path. */
  distinct: number;
  /** Verified requests for an event that had already been received at that path. */
  duplicates: number;
  /** Requests with a wrong or missing signature. */
  bad: number;
}

interface Waiting {
  line: string;
  receipt: Receipt;
  resolve: () => void;
  reject: (error: unknown) => void;
}

export class ReceiptLog {
  readonly #file: FileHandle;
  readonly #events = new Set<string>();
  readonly #counts: Counts = { verified: 0, distinct: 0, duplicates: 0, bad: 0 };
  #sizeBytes = 0;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  /** Continues counting from the contents of the file. */
  static async open(path: string): Promise<ReceiptLog> {
    const file = await open(path, "a+");
    try {
      const log = new ReceiptLog(file);
      await log.#readExisting(path);
      return log;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  counts(): Counts {
    return { ...this.#counts };
  }

  append(receipt: Receipt): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ line: `${JSON.stringify(receipt)}\n`, receipt, resolve, reject });
      this.#writing ??= this.#writeAll();
    });
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.#file.close();
  }

  /** Lines that arrive during one flush share the next one. */
  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        await this.#write(batch.map(({ line }) => line).join(""));
        for (const { receipt } of batch) this.#count(receipt);
        for (const { resolve } of batch) resolve();
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.#writing = undefined;
  }

  async #write(lines: string): Promise<void> {
    try {
      await this.#file.appendFile(lines);
      await this.#file.datasync();
      this.#sizeBytes += Buffer.byteLength(lines);
    } catch (error) {
      await this.#file.truncate(this.#sizeBytes);
      throw error;
    }
  }

  async #readExisting(path: string): Promise<void> {
    const bytes = await this.#file.readFile();
    const end = bytes.lastIndexOf("\n") + 1;
    if (end < bytes.length) await this.#file.truncate(end);
    this.#sizeBytes = end;
    const lines = bytes.toString("utf8", 0, end).split("\n").slice(0, -1);
    for (const [index, line] of lines.entries()) this.#count(parsed(line, `${path}:${index + 1}`));
  }

  #count({ path, verified, eventId }: Receipt): void {
    const counts = this.#counts;
    if (!verified || eventId === null) {
      counts.bad += 1;
      return;
    }
    counts.verified += 1;
    const event = `${path} ${eventId}`;
    if (this.#events.has(event)) counts.duplicates += 1;
    this.#events.add(event);
    counts.distinct = this.#events.size;
  }
}

function parsed(line: string, where: string): Receipt {
  try {
    return JSON.parse(line) as Receipt;
  } catch (cause) {
    throw new Error(`${where} is not a line of a receipt log; move the file away`, { cause });
  }
}
