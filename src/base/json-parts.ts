/**
 * The JSON of a value as far as somebody will look at it, for messages, log lines and errors. What lies beyond is left
 * out, and not even read: a value may be wider than the memory of the process.
 */

import { cut, TEXT_CHARS_MAX } from "./text-cut.ts";

/** Keys and strings count by their length. */
const PARTS_MAX = 20_000;
const DEPTH_MAX = 500;

export interface JsonParts {
  /** undefined where JSON has none, as of a function. */
  text: string | undefined;
  /** Nothing was left out or cut. */
  isWhole: boolean;
}

/** @throws whatever reading the value throws, and a RangeError for one that is nested too deep */
export function jsonInParts(value: unknown): string | undefined {
  return jsonParts(value).text;
}

/** @throws as `jsonInParts` does */
export function jsonParts(value: unknown): JsonParts {
  const parts = new Parts();
  const bounded = function (this: object, key: string, part: unknown): unknown {
    return parts.bounded(this, key, part);
  };
  const text = JSON.stringify(parts.withoutBytes(value), bounded);
  return { text, isWhole: parts.isWhole };
}

interface Place {
  readonly of: object;
  readonly inside: Place | undefined;
  readonly depth: number;
}

/** @throws RangeError for a cycle, and for what is nested too deep */
function placeIn(inside: Place | undefined, of: object): Place {
  const depth = (inside?.depth ?? 0) + 1;
  if (depth > DEPTH_MAX) throw new RangeError("nested too deep");
  for (let above = inside; above !== undefined; above = above.inside)
    if (above.of === of) throw new RangeError("it contains itself");
  return { of, inside, depth };
}

class Parts {
  isWhole = true;
  #left = PARTS_MAX;
  /** Of what JSON goes through, which is a copy, what it is one of. */
  readonly #copies = new Map<object, Place>();

  bounded(holder: object, key: string, part: unknown): unknown {
    this.#left -= 1 + key.length;
    if (this.#left < 0) {
      this.isWhole = false;
      return undefined;
    }
    if (typeof part === "string") return this.#text(part);
    if (typeof part !== "object" || part === null || isBoxed(part)) return part;
    const place = placeIn(this.#copies.get(holder), part);
    const copy = this.#copy(part);
    this.#copies.set(copy, place);
    return copy;
  }

  #copy(part: object): object {
    if (Array.isArray(part)) return this.#some<unknown>(part).map((one) => this.withoutBytes(one));
    const whole = part as Record<string, unknown>;
    const names = this.#some(Object.keys(whole));
    return Object.fromEntries(names.map((name) => [name, this.withoutBytes(whole[name])]));
  }

  /** Before JSON asks for its items: a Buffer copies itself for that, and a typed array has a key for each. */
  withoutBytes(value: unknown): unknown {
    if (!ArrayBuffer.isView(value)) return value;
    this.isWhole = false;
    return `${Object.prototype.toString.call(value).slice(8, -1)} of ${value.byteLength} bytes`;
  }

  #some<T>(all: readonly T[]): readonly T[] {
    if (all.length <= this.#left) return all;
    this.isWhole = false;
    return all.slice(0, this.#left);
  }

  #text(text: string): string {
    const kept = cut(text, Math.min(this.#left, TEXT_CHARS_MAX));
    this.#left -= kept.length;
    if (kept.length < text.length) this.isWhole = false;
    return kept;
  }
}

function isBoxed(part: object): boolean {
  return part instanceof Number || part instanceof String || part instanceof Boolean;
}
