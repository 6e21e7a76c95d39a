/**
 * Looks through a value before it becomes JSON: finds what JSON would lose in silence, and says where. Never deeper than
 * `DEPTH_MAX`, and no longer than the result may be, so that cycles and values that share their parts end it too.
 */

import { DEPTH_MAX } from "./json-limits.ts";

const PATH_CHARS_MAX = 200;
/** A longer text is counted before it is written. */
const ORDINARY_CHARS_MAX = 10_000;
/** What these hold is in no property. */
const LOST =
  /^(?:(?:Weak)?(?:Map|Set|Ref)|Promise|RegExp|Error|DOMException|(?:Shared)?ArrayBuffer|DataView|Symbol|BigInt|(?:Async)?Generator|.* Iterator|URLSearchParams|Headers|FormData|Blob|File|ReadableStream|Request|Response)$/;

export class NotPlain extends Error {
  readonly kind: "lost" | "deep" | "large";

  constructor(kind: NotPlain["kind"], message: string) {
    super(message);
    this.kind = kind;
  }
}

export interface Look {
  /** What the value is; its first word names it in paths, such as `payload`. */
  what: string;
  bytesMax: number;
  /** What JSON loses is lost, instead of being refused. */
  isLossy?: boolean;
}

export interface Looked {
  /** JSON gives back the same value. */
  isSame: boolean;
  /** Bytes that PostgreSQL's text of it has beyond JavaScript's: spaces, and the zeros of numbers such as 1e300. */
  extraBytes: number;
}

/** @throws NotPlain */
export function lookThrough(value: unknown, look: Look): Looked {
  const fields = flatFields(value);
  if (fields !== undefined) return { isSame: true, extraBytes: Math.max(2 * fields - 1, 0) };
  const looking = new Looking(look);
  looking.value(value, 0);
  return looking;
}

/**
 * How many fields an object of texts, ordinary numbers, booleans and nulls has: most payloads are one. undefined: it is none.
 * It is asked for each payload of a large batch, so it makes no lists of names and values.
 */
function flatFields(value: unknown): number | undefined {
  if (typeof value !== "object" || value === null || hasForm(value)) return undefined;
  if (Object.getPrototypeOf(value) !== Object.prototype) return undefined;
  let fields = 0;
  for (const name in value) {
    if (!Object.hasOwn(value, name)) return undefined;
    if (!isOrdinary((value as Record<string, unknown>)[name])) return undefined;
    fields += 1;
  }
  return Object.getOwnPropertySymbols(value).length > 0 ? undefined : fields;
}

function isOrdinary(value: unknown): boolean {
  if (typeof value === "number") {
    const size = Math.abs(value);
    return (size >= 1e-6 && size < 1e21) || Object.is(value, 0);
  }
  if (typeof value === "string") return value.length <= ORDINARY_CHARS_MAX;
  return typeof value === "boolean" || value === null;
}

class Looking implements Looked {
  isSame = true;
  extraBytes = 0;
  readonly #bytesMax: number;
  readonly #root: string;
  readonly #isStrict: boolean;
  readonly #path: (string | number)[] = [];
  readonly #open: object[] = [];
  /** It will not be shorter. */
  #bytesMin = 0;

  constructor({ what, bytesMax, isLossy = false }: Look) {
    this.#bytesMax = bytesMax;
    this.#root = what.split(" ", 1)[0] ?? what;
    this.#isStrict = !isLossy;
  }

  value(value: unknown, depth: number): void {
    if (typeof value === "string") this.#count(value.length);
    else if (typeof value === "number") this.#number(value);
    else if (typeof value === "bigint") this.#bigint(value, depth);
    else if (typeof value === "object") {
      if (value !== null) this.#object(value, depth);
    } else if (typeof value !== "boolean") this.#nothing(value, depth);
  }

  #bigint(value: bigint, depth: number): void {
    if (!hasForm(value)) throw this.#notPlain(depth, `is the bigint ${value}n; pass it as text`);
    this.#form(value, depth);
  }

  #nothing(value: unknown, depth: number): void {
    this.isSame = false;
    if (value === undefined && depth === 0) return; // stored as null
    if (this.#isStrict) throw this.#notPlain(depth, lostText(value));
  }

  #number(value: number): void {
    this.#count(1);
    if (Number.isFinite(value)) {
      const size = Math.abs(value);
      if (size >= 1e21 || (size < 1e-6 && size > 0)) this.extraBytes += plainChars(size);
      if (Object.is(value, -0)) this.isSame = false;
      return;
    }
    this.isSame = false;
    if (this.#isStrict) {
      throw this.#notPlain(this.#open.length, `is ${value}, which JSON makes null`);
    }
  }

  #object(value: object, depth: number): void {
    if (ArrayBuffer.isView(value)) this.#view(value, depth);
    if (hasForm(value)) this.#form(value, depth);
    else this.#bare(value, depth);
  }

  /** Before it is read: a Buffer copies itself for JSON, and a typed array has a key for each item. */
  #view(value: ArrayBufferView, depth: number): void {
    const length = (value as { length?: unknown }).length;
    const bytesMax = this.#bytesMax;
    if (this.#isStrict && !hasForm(value)) this.#refuseLost(value, { names: [], depth });
    if (typeof length === "number" && this.#bytesMin + 2 * length > bytesMax)
      throw new NotPlain("large", `more than ${bytesMax} bytes`);
  }

  /** Its own word for what it is in JSON. */
  #form(value: object | bigint, depth: number): void {
    this.isSame = false;
    if (value instanceof Date && Number.isNaN(value.getTime()) && this.#isStrict) {
      throw this.#notPlain(depth, "is an invalid Date, which JSON makes null");
    }
    const form = (value as { toJSON: (key: string) => unknown }).toJSON(
      String(this.#path[depth - 1] ?? ""),
    );
    if (typeof form === "object" && form !== null) this.#bare(form, depth);
    else this.value(form, depth);
  }

  #bare(value: object, depth: number): void {
    if (value instanceof Number || value instanceof String || value instanceof Boolean) {
      this.isSame = false;
      this.value(value.valueOf(), depth);
      return;
    }
    if (depth >= DEPTH_MAX) throw this.#tooDeep(value, depth);
    this.#open[depth] = value;
    this.#open.length = depth + 1;
    if (Array.isArray(value)) this.#array(value, depth);
    else this.#properties(value, depth);
    this.#open.length = depth;
  }

  #array(value: readonly unknown[], depth: number): void {
    this.#count(2 * value.length);
    this.extraBytes += Math.max(value.length - 1, 0);
    for (let i = 0; i < value.length; i += 1) {
      this.#path[depth] = i;
      if (value[i] === undefined && !(i in value) && this.#isStrict) {
        throw this.#notPlain(depth + 1, "is a hole in an array, which JSON makes null");
      }
      this.value(value[i], depth + 1);
    }
  }

  #properties(value: object, depth: number): void {
    const names = Object.keys(value);
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype) {
      this.isSame = false;
      if (this.#isStrict) this.#refuseLost(value, { names, depth });
    }
    if (this.#isStrict && Object.getOwnPropertySymbols(value).length > 0) {
      throw this.#notPlain(depth, "has a symbol as a key, which JSON leaves out");
    }
    let count = 0;
    for (const name of names) {
      const one = (value as Record<string, unknown>)[name];
      this.#path[depth] = name;
      if (one === undefined) {
        this.isSame = false; // left out, as everywhere in JavaScript
        continue;
      }
      count += 1;
      this.#count(name.length + 4);
      this.value(one, depth + 1);
    }
    this.extraBytes += Math.max(2 * count - 1, 0);
  }

  #refuseLost(value: object, { names, depth }: { names: string[]; depth: number }): void {
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype === null) return;
    const tag = Object.prototype.toString.call(value).slice(8, -1);
    const isLost = LOST.test(tag) || ArrayBuffer.isView(value) || value instanceof Error;
    const isBare = Object.getPrototypeOf(prototype) === null; // {} of another realm
    if (!isLost && (names.length > 0 || isBare)) return;
    const { name } = (value.constructor as { name?: unknown } | undefined) ?? {};
    const what = typeof name === "string" && name !== "" && name !== "Object" ? name : tag;
    throw this.#notPlain(depth, `is of the class ${what}, whose content JSON loses`);
  }

  #count(bytes: number): void {
    this.#bytesMin += bytes;
    if (this.#bytesMin <= this.#bytesMax) return;
    if (this.#bytesMax > 0 && this.#isCyclic()) throw this.#cycle();
    throw new NotPlain("large", `more than ${this.#bytesMax} bytes`);
  }

  #tooDeep(value: object, depth: number): NotPlain {
    this.#open[depth] = value;
    if (this.#isCyclic()) return this.#cycle();
    const at = pathText(this.#root, this.#path.slice(0, depth));
    return new NotPlain("deep", `${at} is nested more than ${DEPTH_MAX} levels deep`);
  }

  #isCyclic(): boolean {
    return new Set(this.#open).size < this.#open.length;
  }

  #cycle(): NotPlain {
    const first = this.#open.findIndex((one, i) => this.#open.indexOf(one) < i);
    return this.#notPlain(first, "is circular: it contains itself");
  }

  #notPlain(depth: number, problem: string): NotPlain {
    const path = this.#path.slice(0, depth);
    return new NotPlain("lost", `${pathText(this.#root, path)} ${problem}`);
  }
}

function hasForm(value: object | bigint): boolean {
  return typeof (value as { toJSON?: unknown }).toJSON === "function";
}

function lostText(value: unknown): string {
  if (value === undefined) return "is undefined, which JSON makes null";
  return `is a ${typeof value}, which JSON leaves out`;
}

/** How much longer it is without its exponent. */
function plainChars(size: number): number {
  const text = String(size);
  const [digits = "", exponent = "0"] = text.split("e");
  const power = Number(exponent);
  const mantissa = digits.replace(".", "").length;
  return (power > 0 ? power + 1 : 1 - power + mantissa) - text.length;
}

function pathText(root: string, path: readonly (string | number)[]): string {
  let text = root;
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else text += /^[A-Za-z_$][\w$]*$/.test(part) ? `.${part}` : `[${JSON.stringify(part)}]`;
    if (text.length > PATH_CHARS_MAX) return `${text.slice(0, PATH_CHARS_MAX)}…`;
  }
  return text;
}
