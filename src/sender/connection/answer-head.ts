/**
 * Reads the beginning of each answer before undici does. It drops interim answers (RFC 9110, section 15.2): undici
 * destroys the connection at a `100 Continue` that was not asked for. And it notes the status as soon as its line is
 * there: undici tells of it only when all headers are. Invariant: of a final answer not one byte is changed or held.
 */

import type { Socket } from "node:net";
import { errors } from "undici";

/** Of all interim answers to one request together. */
const INTERIM_BYTES_MAX = 65_536;
const STATUS_LINE = /^HTTP\/1\.[01] (\d{3})[ \r\n]/;
const STATUS_LINE_CHARS = 13;
const SWITCHING_PROTOCOLS = 101;
const CR = 13;
const LF = 10;
const NOTHING = Buffer.alloc(0);

/** What is known of the answer to one request. */
export interface AnswerHead {
  /** Of the final answer, or 101. */
  status?: number;
}

/** `next` gives the head of the request whose write has just begun. Heads are read from then on until the final one. */
export function readHeads(socket: Socket, next: () => AnswerHead | undefined): Socket {
  const write = socket.write.bind(socket) as (...given: unknown[]) => boolean;
  const push = socket.push.bind(socket);
  let reader: HeadReader | undefined;
  socket.write = (...given: unknown[]): boolean => {
    const head = next();
    if (head !== undefined) reader = new HeadReader(head);
    return write(...given);
  };
  socket.push = (chunk: Buffer | null, encoding?: BufferEncoding): boolean => {
    if (reader === undefined) return push(chunk, encoding);
    const { rest, isFinal, isFlood } = chunk === null ? reader.end() : reader.read(chunk);
    if (isFinal) reader = undefined;
    if (isFlood) socket.destroy(new errors.HeadersOverflowError());
    // An empty piece too: it says that the read has ended.
    const goesOn = chunk !== null || rest.length > 0 ? push(rest) : true;
    return chunk === null ? push(null) : goesOn;
  };
  return socket;
}

interface Reading {
  /** What undici is to read. */
  rest: Buffer;
  isFinal: boolean;
  isFlood?: boolean;
}

class HeadReader {
  readonly #head: AnswerHead;
  #held: Buffer = NOTHING;
  #interimBytes = 0;

  constructor(head: AnswerHead) {
    this.#head = head;
  }

  read(chunk: Buffer): Reading {
    let rest = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = NOTHING;
    for (;;) {
      rest = this.#withoutEmptyLines(rest);
      const start = rest.toString("latin1", 0, STATUS_LINE_CHARS);
      const status = Number(STATUS_LINE.exec(start)?.[1]);
      if (isInterim(status)) {
        const end = endOfHead(rest);
        if (end === undefined) break;
        this.#interimBytes += end;
        rest = rest.subarray(end);
      } else if (Number.isNaN(status) && mayBecomeStatus(start)) break;
      else {
        if (!Number.isNaN(status)) this.#head.status = status;
        return { rest, isFinal: true };
      }
    }
    this.#held = rest;
    const isFlood = this.#interimBytes + rest.length > INTERIM_BYTES_MAX;
    return { rest: NOTHING, isFinal: isFlood, isFlood };
  }

  /** Clients should ignore them before a status line (RFC 9112, section 2.2). */
  #withoutEmptyLines(bytes: Buffer): Buffer {
    let at = 0;
    while (bytes[at] === CR || bytes[at] === LF) at += 1;
    this.#interimBytes += at;
    return bytes.subarray(at);
  }

  /** No more comes: what is held is no whole head, which undici then says. */
  end(): Reading {
    return { rest: this.#held, isFinal: true };
  }
}

function isInterim(status: number): boolean {
  return status >= 100 && status < 200 && status !== SWITCHING_PROTOCOLS;
}

function mayBecomeStatus(start: string): boolean {
  return start.length < STATUS_LINE_CHARS && "HTTP/1.".startsWith(start.slice(0, 7));
}

function endOfHead(bytes: Buffer): number | undefined {
  const end = bytes.indexOf("\r\n\r\n");
  return end === -1 ? undefined : end + 4;
}
