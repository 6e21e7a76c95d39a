import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PawlError } from "../../src/base/errors.ts";
import { type FilterFields, parseFilter, type Term } from "../../src/operate/filter/filter.ts";

const FIELDS = {
  state: { choices: ["ready", "dead"] },
  queue: "text",
  kind: "text",
  id: "id",
  err: "part",
  attempt: "number",
  age: "age",
  since: "since",
  before: "before",
  payload: "json",
} satisfies FilterFields;

const parse = (text: string) =>
  parseFilter(text, FIELDS, { where: "tasks.list", label: "`filter`", option: "filter" });

function fault(text: string): { message: string; position: unknown } {
  try {
    parse(text);
  } catch (error) {
    if (!(error instanceof PawlError)) throw error;
    expect(error.code).toBe("invalid_option");
    return { message: error.message, position: (error.data as { position?: unknown }).position };
  }
  throw new Error(`was read: ${text}`);
}

const term = (field: string, op: Term["op"], ...values: string[]) => ({ field, op, values });

describe("R59: a filter", () => {
  test("reads every kind of field, negation, lists, quotes, wildcards, comparisons and paths", () => {
    expect(
      parse(
        'state:dead queue:mail,sms kind:send* age:>10m since:24h err:"ECONN" payload.user.id:42 -queue:spam',
      ),
    ).toMatchObject([
      term("state", "=", "dead"),
      { ...term("queue", "like", "mail", "sms"), isNot: false, names: ["mail", "sms"] },
      term("kind", "like", "send%"),
      term("age", "<", "600000"),
      term("since", ">=", "86400000"),
      term("err", "ilike", "%ECONN%"),
      { ...term("payload", "like", "42"), path: ["user", "id"] },
      { ...term("queue", "like", "spam"), isNot: true },
    ]);
    expect(
      parse('  queue:"a,b \\"c\\" *",d\tattempt:>=3 id:7,8 payload."a.b".c:<1.5 '),
    ).toMatchObject([
      { ...term("queue", "like", 'a,b "c" *', "d"), names: ['a,b "c" *', "d"] },
      term("attempt", ">=", "3"),
      term("id", "=", "7", "8"),
      { ...term("payload", "<", "1.5"), path: ["a.b", "c"] },
    ]);
    expect(parse("before:2030-01-31T12:00:00Z")).toMatchObject([
      term("before", "<", "2030-01-31T12:00:00.000Z"),
    ]);
    expect(parse("")).toEqual([]);
    // what LIKE would read as a wildcard is escaped
    expect(parse("queue:50%_a\\b*")[0]).toMatchObject({ values: ["50\\%\\_a\\\\b%"] });
    expect(parse("kind:a*")[0]?.names).toBeUndefined();
  });

  test.each([
    ["quue:mail", 1, 'no field "quue"; did you mean "queue"?'],
    ["queue:a stat:dead", 9, 'did you mean "state"?'],
    ["state:daed", 7, 'not one of ready, dead; did you mean "dead"?'],
    ["timeout", 1, 'expected name:value; to look for a text in the error, write err:"timeout"'],
    ["queue:", 7, "expected a value"],
    ["queue:a,,b", 9, "expected a value"],
    ['queue:"a', 7, "the closing quote is missing"],
    ['queue:"a"b', 10, "expected a space or a comma after the closing quote"],
    ["queue:>a", 7, "`queue` takes no comparison"],
    ["age:10m", 5, "expected > or <, such as age:>10m"],
    ["age:>10", 6, "expected a duration such as 10m, 24h or 7d"],
    ["age:>1m,2m", 9, "`age` takes one value here"],
    ["since:yesterday", 7, "expected a duration such as 24h, or a time"],
    ["since:5", 7, "expected a duration such as 24h, or a time"],
    ["attempt:many", 9, "expected a number"],
    ["id:4x", 4, "expected a number"],
    ["payload:42", 1, "expected a path, such as payload.user.id"],
    ["payload.:42", 1, "expected a path"],
    ["queue.x:1", 1, "takes no path"],
    ["constructor:1", 1, "no field"],
    ["__proto__:1", 1, "no field"],
    [`queue:a ${"id:1 ".repeat(50)}`, 254, "more than 50 terms"],
    [`id:${"1,".repeat(500)}1`, 1, "more than 500 values"],
  ])("%j is refused, with the place of the fault", (text, position, message) => {
    const found = fault(text);
    expect(found).toMatchObject({ position });
    expect(found.message).toContain(message);
    expect(found.message).toContain(`tasks.list: \`filter\`, character ${position}`);
  });

  test("of any text is read, or refused with a place in it", () => {
    const piece = fc.oneof(
      fc.string({ unit: "binary", maxLength: 6 }),
      fc.constantFrom(
        ...Object.keys(FIELDS),
        ":",
        ".",
        ",",
        '"',
        "\\",
        "-",
        ">",
        "<=",
        " ",
        "*",
        "payload.a:",
        "' or 1=1 --",
      ),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const text = pieces.join("");
        try {
          expect(Array.isArray(parse(text))).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(PawlError);
          const { position } = (error as PawlError).data as { position: number };
          expect(position).toBeGreaterThanOrEqual(1);
          expect(position).toBeLessThanOrEqual(text.length + 1);
        }
      }),
      { numRuns: 3_000 },
    );
  });

  test("keeps every quoted value as it is, whatever it holds", () => {
    const quoted = (text: string) => `"${text.replaceAll(/["\\]/g, "\\$&")}"`;
    const one = fc.record({
      isNot: fc.boolean(),
      path: fc.array(fc.string({ unit: "binary", minLength: 1, maxLength: 8 }), {
        minLength: 1,
        maxLength: 3,
      }),
      values: fc.array(fc.string({ unit: "binary", maxLength: 8 }), { minLength: 1, maxLength: 4 }),
    });
    fc.assert(
      fc.property(fc.array(one, { maxLength: 5 }), (terms) => {
        const text = terms
          .map(
            ({ isNot, path, values }) =>
              `${isNot ? "-" : ""}payload.${path.map(quoted).join(".")}:${values.map(quoted).join(",")}`,
          )
          .join(" ");
        expect(
          parse(text).map(({ isNot, path, names }) => ({ isNot, path, values: names })),
        ).toEqual(terms);
      }),
      { numRuns: 1_000 },
    );
  });
});

test("R59: a state that a list of one state cannot have is refused by saying which one that is", () => {
  const fields: FilterFields = { state: { choices: ["dead"], isOnEachRow: true } };
  const place = { label: "`filter`", option: "filter" };
  expect(() => parseFilter("state:running", fields, place)).toThrow(
    '("running"): `state` is always dead here; leave it out',
  );
});
