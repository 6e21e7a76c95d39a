import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { didYouMean, nearest } from "../../src/base/suggest.ts";

describe("did you mean", () => {
  test.each(["hihg", "hig", "hgh", "High"])("a slip of the fingers finds the name: %s", (slip) => {
    expect(didYouMean(slip, ["normal", "high", "low"])).toBe('did you mean "high"?');
  });

  test("a name that is far from all lists what is known instead of guessing", () => {
    expect(didYouMean("billing", ["high", "low"])).toBe("known: high, low");
    expect(didYouMean("billing", new Set())).toBe("none is defined");
  });

  test("a short name does not match by replacing all of it", () => {
    expect(nearest("ab", ["xy"])).toBeUndefined();
  });

  test("a long list is cut, so that the message stays readable", () => {
    const names = Array.from({ length: 500 }, (_, index) => `queue-${index}`);
    expect(didYouMean("zzzzzzzz", names).split(",")).toHaveLength(20);
  });

  test("a known name is its own nearest, whatever stands beside it", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string(), { minLength: 1 }), fc.nat(), (names, pick) => {
        const name = names[pick % names.length] ?? "";
        expect(nearest(name, names)).toBe(name);
      }),
    );
  });

  test("one letter left out is always found among names that are unlike", () => {
    const name = fc.stringMatching(/^[a-m]{4,12}$/);
    fc.assert(
      fc.property(name, fc.nat(), (original, at) => {
        const index = at % original.length;
        const slip = original.slice(0, index) + original.slice(index + 1);
        expect(nearest(slip, ["zzzzzzzzzzzzzzz", original])).toBe(original);
      }),
    );
  });
});
