/** Reads whole lines of a file from a byte offset on, a bounded part of it at a time: never the whole file. */

import type { FileHandle } from "node:fs/promises";

const CHUNK_BYTES = 64 * 1024;
const LINE_END = 10;

export interface LinesLimit {
  /** Maximum number of lines. */
  lines: number;
  /** No further chunk is read once this many bytes of whole lines were read. */
  pageBytes: number;
  /** A longer line is not kept. */
  lineBytes: number;
}

export interface Lines {
  /** Whole lines with their ends; only the beginning of a line that is too long. */
  readonly bytes: Buffer;
  /** The offset after them. */
  readonly to: number;
  /** The length of the page's only line, if that line is too long. */
  readonly tooLong?: number;
  /** What follows the last line end of the file: the last line, or one that is still being written. */
  readonly tail?: Buffer;
}

/** `tail` is there only when the file ends within this part. */
export async function readLines(file: FileHandle, from: number, limit: LinesLimit): Promise<Lines> {
  const found: Found = { read: Buffer.alloc(0), end: 0, count: 0 };
  for (;;) {
    const chunk = await readChunk(file, from + found.read.length);
    const searchedTo = found.read.length;
    found.read = Buffer.concat([found.read, chunk]);
    const page = scan(found, searchedTo, { from, limit });
    if (page !== undefined) return page;
    if (chunk.length === 0) return { ...whole(found, from), tail: found.read.subarray(found.end) };
    if (found.read.length - found.end <= limit.lineBytes) continue;
    if (found.count > 0) return whole(found, from);
    return skipLine(file, from, found.read.subarray(0, limit.lineBytes));
  }
}

/** The bytes read so far, and how many of them are whole lines. */
interface Found {
  read: Buffer;
  end: number;
  count: number;
}

/** Counts the whole lines; returns the page when it is full, or when a line follows that is too long. */
function scan(
  found: Found,
  searchedTo: number,
  { from, limit }: { from: number; limit: LinesLimit },
): Lines | undefined {
  const { read } = found;
  for (let at = read.indexOf(LINE_END, searchedTo); at >= 0; at = read.indexOf(LINE_END, at + 1)) {
    if (at - found.end > limit.lineBytes) {
      return found.count > 0 ? whole(found, from) : tooLong(read, from, at);
    }
    found.end = at + 1;
    found.count += 1;
    if (found.count === limit.lines) return whole(found, from);
  }
  return found.end >= limit.pageBytes ? whole(found, from) : undefined;
}

function whole({ read, end }: Found, from: number): Lines {
  return { bytes: read.subarray(0, end), to: from + end };
}

function tooLong(read: Buffer, from: number, lineEnd: number): Lines {
  return {
    bytes: read.subarray(0, Math.min(lineEnd, CHUNK_BYTES)),
    to: from + lineEnd + 1,
    tooLong: lineEnd,
  };
}

/** Looks for the end of a line without keeping it. Without an end, it may still be written: nothing is read. */
async function skipLine(file: FileHandle, from: number, begin: Buffer): Promise<Lines> {
  for (let at = from + begin.length; ; ) {
    const chunk = await readChunk(file, at);
    if (chunk.length === 0) return { bytes: Buffer.alloc(0), to: from, tail: begin };
    const lineEnd = chunk.indexOf(LINE_END);
    if (lineEnd >= 0) {
      const length = at + lineEnd - from;
      return { bytes: begin.subarray(0, CHUNK_BYTES), to: from + length + 1, tooLong: length };
    }
    at += chunk.length;
  }
}

async function readChunk(file: FileHandle, position: number): Promise<Buffer> {
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES, position);
  return chunk.subarray(0, bytesRead);
}
