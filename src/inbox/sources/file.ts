/**
 * A file of JSON, one value per line (NDJSON): for backfills, and for files that are still being written. The cursor is the
 * byte offset of the next line, so that loading continues where it stopped. A line without a line end is left for later.
 */

import { createHash } from "node:crypto";
import { constants, type FileHandle, open } from "node:fs/promises";
import { badOption } from "../../base/options.ts";
import { messageOf } from "../../base/thrown.ts";
import { type FieldsOf, required, withDefault } from "../../options/field.ts";
import { integer, matching } from "../../options/kinds.ts";
import { readSource, type SourceOptions } from "../define-source.ts";
import {
  type BadEvent,
  type Json,
  type Page,
  type PullSource,
  type RawPage,
  SourceAnswered,
  type SourceEvent,
  SourceUnavailable,
  type Window,
} from "../source.ts";
import { describeField } from "./field.ts";
import { readLines } from "./file-lines.ts";
import { eventOf, ITEM_FIELDS, type ItemFields, requireGood } from "./item.ts";

const PAGE_BYTES = 4 * 1024 * 1024;
const LINE_BYTES_MAX = 64 * 1024 * 1024;
/** The file is recognized by this many bytes at its beginning. */
const HEAD_BYTES = 4_096;
const LINE_END = 10;
/** Opening a pipe would wait for its writer, and block one of the few threads of the process. */
const READ_AT_ONCE = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);
const UTF8 = new TextDecoder("utf-8", { fatal: true });

export interface FileSourceOptions extends SourceOptions, ItemFields {
  /**
   * The file's path, absolute or relative to the worker's working directory. Every worker that loads it must see the same
   * file.
   */
  path: string;
  /** Maximum length of a line in bytes; a longer line is set aside with its beginning. Default 1 MiB. */
  maxLineBytes?: number;
}

const OWN = {
  ...ITEM_FIELDS,
  path: required(matching("the path of a file", (text) => text !== "" && !text.includes("\0"))),
  maxLineBytes: withDefault(
    1024 * 1024,
    integer({ help: "maximum length of a line", max: LINE_BYTES_MAX }),
  ),
} satisfies FieldsOf<Omit<FileSourceOptions, keyof SourceOptions>>;

/** Describes the beginning of the file, so that another file under the same name is noticed. */
interface Head {
  readonly bytes: number;
  readonly hash: string;
}

interface Info {
  readonly from: number;
  readonly to: number;
  readonly tooLong?: number;
  /** A line without a line end follows. */
  readonly isTorn: boolean;
  readonly isEnd: boolean;
  readonly head: Head;
}

/**
 * Returns a source that loads a file line by line. Without `id`, an event's id is the offset of its line. Lines that are not
 * JSON are set aside; empty lines are skipped.
 *
 * @throws PawlError `invalid_option`
 */
export function fileSource(options: FileSourceOptions): PullSource {
  const { own, at: where, base: baseOf } = readSource("fileSource", OWN, options);
  const { path, maxLineBytes, id } = own;
  const base = baseOf({
    type: "file",
    config: { path, ...(id !== undefined && { id: describeField(id) }) },
    cursor: "opaque",
    start: "0",
    // Reading a file executes nothing: a lost answer may be requested again.
    onFault: { unknown: "retry" },
  });
  if (!/^\d{1,15}$/.test(base.start)) throw badOption(where, "start", "a byte offset", base.start);
  return Object.freeze({
    ...base,
    request: (window: Window) => readPage(path, window, maxLineBytes),
    parse: (page: RawPage) => parsePage(page, options),
    decode: (raw: Uint8Array, offset: string) =>
      requireGood(eventIn(Buffer.from(raw), offset, options)),
  });
}

function offsetOf(cursor: string): number {
  const offset = cursor === "" ? 0 : Number(cursor);
  if (/^\d*$/.test(cursor) && Number.isSafeInteger(offset)) return offset;
  throw new SourceAnswered(`the cursor "${cursor}" is not a byte offset; rewind the source to one`);
}

async function readPage(path: string, window: Window, lineBytes: number): Promise<RawPage> {
  const from = offsetOf(window.after);
  const file = await opened(path);
  try {
    const { size } = await file.stat();
    if (size < from) {
      throw new SourceAnswered(
        `${path} has ${size} bytes, and ${from} were read already: it was cut or replaced; rewind the source to 0 to read it from its beginning`,
      );
    }
    const head = await headOf(file, path, window);
    const limit = { lines: window.limit, pageBytes: PAGE_BYTES, lineBytes };
    const { bytes, to, tooLong, tail } = await readLines(file, from, limit);
    const last = tail === undefined ? undefined : completeTail(tail);
    const info = {
      from,
      to: to + (last?.length ?? 0),
      ...(tooLong !== undefined && { tooLong }),
      isTorn: tail !== undefined && tail.length > 0 && last === undefined,
      isEnd: tail !== undefined,
      head: { ...head },
    } satisfies Info;
    return {
      bytes: last === undefined ? bytes : Buffer.concat([bytes, last]),
      contentType: "application/x-ndjson",
      info,
    };
  } finally {
    await file.close();
  }
}

async function opened(path: string): Promise<FileHandle> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, READ_AT_ONCE);
    if ((await file.stat()).isFile()) return file;
    await file.close();
  } catch (cause) {
    await file?.close().catch(() => undefined);
    const { code } = cause as { code?: string };
    const message = `${path} cannot be read: ${messageOf(cause)}`;
    if (code === "EACCES" || code === "EPERM") throw new SourceAnswered(message, { cause });
    throw new SourceUnavailable(message, { sent: "no", cause });
  }
  throw new SourceAnswered(`${path} is not a file`);
}

/** @throws SourceAnswered if the file does not begin like the one read before */
async function headOf(file: FileHandle, path: string, { after, state }: Window): Promise<Head> {
  const known = offsetOf(after) === 0 ? undefined : headIn(state);
  const buffer = Buffer.alloc(HEAD_BYTES);
  const { bytesRead } = await file.read(buffer, 0, HEAD_BYTES, 0);
  const hash = (bytes: number) =>
    createHash("sha256").update(buffer.subarray(0, bytes)).digest("hex").slice(0, 32);
  if (known !== undefined && hash(known.bytes) !== known.hash) {
    throw new SourceAnswered(
      `${path} does not begin like the file of which ${after} bytes were read: it was replaced; rewind the source to 0 to read it from its beginning`,
    );
  }
  return { bytes: bytesRead, hash: hash(bytesRead) };
}

function headIn(state: Json | null): Head | undefined {
  if (state === null || typeof state !== "object" || !("head" in state)) return undefined;
  return state.head as unknown as Head;
}

/**
 * The last line of a file often has no line end. A whole object or array cannot be part of a longer one, so it is complete;
 * any other value may still be continued.
 */
function completeTail(tail: Buffer): Buffer | undefined {
  try {
    const value: unknown = JSON.parse(UTF8.decode(tail));
    return typeof value === "object" && value !== null ? tail : undefined;
  } catch {
    return undefined;
  }
}

function parsePage({ bytes, info }: RawPage, fields: ItemFields): Page {
  const { from, to, tooLong, isTorn, isEnd, head } = info as unknown as Info;
  const next = String(to);
  const rest = { next, more: !isEnd, state: { head: { ...head } }, lag: isTorn ? 1 : 0 };
  if (tooLong !== undefined) {
    const error = `the line has ${tooLong} bytes, which is more than \`maxLineBytes\`; these are its first`;
    return { events: [{ id: String(from), raw: bytes, error }], ...rest };
  }
  return { events: [...eventsIn(Buffer.from(bytes), from, fields)], ...rest };
}

function* eventsIn(
  bytes: Buffer,
  from: number,
  fields: ItemFields,
): Generator<SourceEvent | BadEvent> {
  for (let at = 0; at < bytes.length; ) {
    const found = bytes.indexOf(LINE_END, at);
    const end = found < 0 ? bytes.length : found;
    const line = bytes.subarray(at, end);
    if (line.some((byte) => byte > 32)) yield eventIn(line, String(from + at), fields);
    at = end + 1;
  }
}

/** A line whose id cannot be read is named by its offset. */
function eventIn(line: Buffer, offset: string, fields: ItemFields): SourceEvent | BadEvent {
  try {
    const text = UTF8.decode(line); // a mark of byte order is left out by the decoder
    const value: unknown = JSON.parse(text);
    return eventOf(
      { value, text, raw: () => line },
      { ...fields, id: fields.id ?? (() => offset) },
    );
  } catch (error) {
    const id = fields.id === undefined ? offset : `@${offset}`; // never the id of another event
    return { id, raw: line, error: messageOf(error) };
  }
}
