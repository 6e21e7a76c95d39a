/** What a step says beside its output: lines, fields for the run's data, and what it sends outside. */

import { toJson } from "../../base/json.ts";
import { maskContent } from "../../base/mask-json.ts";
import { badOption } from "../../base/options.ts";
import { storableText } from "../../base/text.ts";
import { cut } from "../../base/text-cut.ts";
import { asText } from "../../base/thrown.ts";
import { type Path, redactJson } from "../redact.ts";

const MESSAGE_CHARS_MAX = 2_000;
const SENT_MAX = 100;
const LINES_MAX = 100;
const ACTION_CHARS_MAX = 200;

interface Line {
  readonly level: "info" | "warning";
  readonly text: string;
}

export class Notes {
  readonly #bytesMax: number;
  readonly #redact: readonly Path[];
  #message: string | null = null;
  #data: Record<string, unknown> | undefined;
  readonly #sent: string[] = [];
  readonly #lines: Line[] = [];
  readonly #dropped = { info: 0, warning: 0, sent: 0 };

  constructor(bytesMax: number, redact: readonly Path[]) {
    this.#bytesMax = bytesMax;
    this.#redact = redact;
  }

  message(text: unknown): void {
    this.#message = line(text);
  }

  note(level: Line["level"], text: unknown): void {
    if (this.#lines.length < LINES_MAX) this.#lines.push({ level, text: line(text) });
    else this.#dropped[level] += 1;
  }

  /**
   * Kept as it is now: what the caller changes later changes nothing.
   * @throws PawlError `invalid_option`, `payload_not_json`, `payload_too_large`
   */
  merge(fields: unknown): void {
    if (typeof fields !== "object" || fields === null || Array.isArray(fields))
      throw badOption("context.merge", "fields", "an object", fields);
    const text = toJson(fields, { what: "fields of context.merge", bytesMax: this.#bytesMax });
    this.#data = withFields(this.#data ?? {}, JSON.parse(text));
  }

  sent(action: unknown, payload: unknown): void {
    if (this.#sent.length >= SENT_MAX) {
      this.#dropped.sent += 1;
      return;
    }
    const name = storableText(cut(asText(action), ACTION_CHARS_MAX));
    const what = `payload of context.sent(${JSON.stringify(name)})`;
    const text = toJson(payload ?? null, { what, bytesMax: this.#bytesMax, isLossy: true });
    const masked = maskContent(redactJson(text, this.#redact));
    this.#sent.push(`{"action":${JSON.stringify(name)},"payload":${masked}}`);
  }

  get text(): string | null {
    return this.#message;
  }

  get dataJson(): string | null {
    return this.#data === undefined ? null : JSON.stringify(this.#data);
  }

  get linesJson(): string | null {
    const lines = [...this.#lines, ...this.#droppedLines()];
    return lines.length === 0 ? null : JSON.stringify(lines);
  }

  /** What did not fit is not dropped in silence. */
  #droppedLines(): Line[] {
    const { info, warning, sent } = this.#dropped;
    const of = (count: number, max: number, what: string) =>
      `${count} more ${what} dropped: a step keeps ${max}`;
    return [
      ...(info + warning === 0
        ? []
        : [
            {
              level: warning === 0 ? ("info" as const) : ("warning" as const),
              text: of(info + warning, LINES_MAX, "lines were"),
            },
          ]),
      ...(sent === 0
        ? []
        : [{ level: "info" as const, text: of(sent, SENT_MAX, "of what was sent were") }]),
    ];
  }

  get sentJson(): string | null {
    return this.#sent.length === 0 ? null : `[${this.#sent.join(",")}]`;
  }
}

/** Merges two objects entry by entry, because a field may be called __proto__. */
export function withFields(one: object, other: object): Record<string, unknown> {
  return Object.fromEntries([...Object.entries(one), ...Object.entries(other)]);
}

/** A line for operators that PostgreSQL can store. */
export function line(text: unknown): string {
  return storableText(cut(asText(text), MESSAGE_CHARS_MAX));
}

/** @throws PawlError `payload_not_json`, `payload_too_large`: later steps would read something else than what was returned */
export function outputJson(output: unknown, what: string, bytesMax: number): string | null {
  return output === undefined ? null : toJson(output, { what, bytesMax });
}
