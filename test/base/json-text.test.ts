import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { indentedJson } from "../../src/base/json-indent.ts";
import {
  elementSpans,
  exactJson,
  exactRow,
  parsedColumns,
  RawJson,
  spanAt,
  textAt,
  textIfSame,
  withFields,
} from "../../src/base/json-text.ts";

/** As a sender may write it: with white space anywhere and escapes that need not be there. */
function written(value: unknown, space: string): string {
  const inner = (one: unknown): string => {
    if (typeof one === "string") return JSON.stringify(one).replaceAll("/", "\\/");
    if (Array.isArray(one)) return `[${space}${one.map(inner).join(`${space},${space}`)}${space}]`;
    if (typeof one !== "object" || one === null) return JSON.stringify(one);
    const members = Object.entries(one).map(
      ([name, of]) =>
        `${JSON.stringify(name).replace(/\\u.{4}|\\.|a/g, (one) => (one === "a" ? "\\u0061" : one))}${space}:${space}${inner(of)}`,
    );
    return `{${space}${members.join(`${space},${space}`)}${space}}`;
  };
  return space + inner(value) + space;
}

const json = fc.jsonValue({ maxDepth: 4 });
const spaces = fc.constantFrom("", " ", "\n\t ");

describe("parts of a JSON text", () => {
  test("every element of every array is found with its own text", () => {
    fc.assert(
      fc.property(fc.array(json), spaces, (items, space) => {
        const text = written({ 'd.a"ta': { items } }, space);
        const span = spanAt(text, ['d.a"ta', "items"]);
        const spans = elementSpans(text, span ?? { start: 0, end: 0 }) ?? [];
        const found = spans.map(({ start, end }) => text.slice(start, end));
        expect(found.map((one) => JSON.parse(one))).toEqual(JSON.parse(JSON.stringify(items)));
        expect(found).toEqual(found.map((one) => one.trim()));
      }),
    );
  });

  test("what is found at a path is what JSON.parse has there", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), json), spaces, (object, space) => {
        const text = written(object, space);
        const parsed = JSON.parse(text) as Record<string, unknown>;
        for (const name of Object.keys(parsed)) {
          expect(JSON.parse(textAt(text, [name]) ?? "")).toEqual(parsed[name]);
        }
        expect(textAt(text, ["\u0001no such member"])).toBeUndefined();
      }),
    );
  });

  test("any text at all ends, and is no endless loop", () => {
    const pieces = fc.array(
      fc.constantFrom('"', "\\", "{", "}", "[", "]", ",", ":", " ", "a", "1"),
    );
    fc.assert(
      fc.property(pieces, (parts) => {
        const text = parts.join("");
        textAt(text, ["a", "1"]);
        try {
          elementSpans(text, { start: 0, end: text.length });
        } catch (error) {
          expect(String(error)).toContain("not JSON");
        }
      }),
    );
  });

  test("the last member of one name counts, as JSON.parse has it", () => {
    expect(textAt('{"a": 1, "b": 2, "a": 3.0}', ["a"])).toBe("3.0");
    expect(textAt('{"a": {"b": 1}, "a": 2}', ["a", "b"])).toBeUndefined();
  });

  test("R115: a hundred thousand brackets use no stack", () => {
    const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
    expect(textAt(`{"a":${deep}}`, ["a"])).toBe(deep);
  });

  test("digits stay: what a function hands on unchanged keeps its text, what it changed does not", () => {
    const text = '{"id": 9007199254740993}';
    const value = JSON.parse(text) as { id: number; more?: true };
    expect(textIfSame(value, text)).toBe(text);
    expect(textIfSame({ ...value, more: true }, text)).toBeUndefined();
    expect(textIfSame(value, undefined)).toBeUndefined();
  });

  test("fields are added behind those of an object's text", () => {
    expect(withFields("{}", { a: 1 })).toBe('{"a":1}');
    expect(withFields("{ }", {})).toBe("{}");
    expect(withFields('{"n": 1e400}', { a: 1 })).toBe('{"n": 1e400,"a":1}');
    expect(withFields('{"n": 1}', {})).toBe('{"n": 1}');
  });
});

describe("JSON for people and programs", () => {
  test("any JSON is indented as JSON.stringify does", () => {
    fc.assert(
      fc.property(json, spaces, (value, space) => {
        // a backslash that is itself escaped begins no escape
        const plain = written(value, space).replace(
          /\\(?:\\|\/|u0061)/g,
          (one) => ({ "\\/": "/", "\\u0061": "a" })[one] ?? one,
        );
        expect(indentedJson(plain)).toBe(JSON.stringify(value, null, 2));
      }),
    );
  });

  test("a value holds exact texts anywhere, in a bounded indent", () => {
    const value = { rows: [{ payload: new RawJson('{"n": 1e400}') }], text: "raw-0" };
    expect(exactJson(value)).toBe('{"rows":[{"payload":{"n": 1e400}}],"text":"raw-0"}');
    const deep = `${"[".repeat(10_000)}${"]".repeat(10_000)}`;
    expect(indentedJson(deep).length).toBeLessThan(2_000_000);
  });

  test("a row has its columns parsed when they are read, and written as they are", () => {
    const columns = { id: "1", payload_text: '{"n": 9007199254740993}', meta_text: null };
    const row = parsedColumns<object>(columns, (column) => column);
    expect(row).toEqual({ id: "1", payload: { n: 9007199254740992 }, meta: null });
    expect(exactJson(exactRow(row))).toBe(
      '{"id":"1","payload":{"n": 9007199254740993},"meta":null}',
    );
  });
});
