/** Assertions for any test runner: they throw Node's AssertionError, with what there is instead. */

import { AssertionError } from "node:assert";
import { inspect, isDeepStrictEqual } from "node:util";

const SHOWN_MAX = 20;

/** True if all that `wanted` has is in `given`, at any depth; lists must have the same length. */
function isLike(given: unknown, wanted: unknown): boolean {
  if (!isData(wanted) || !isData(given)) return isDeepStrictEqual(given, wanted);
  if (Array.isArray(wanted) !== Array.isArray(given)) return false;
  if (Array.isArray(wanted) && wanted.length !== given.length) return false;
  return Object.entries(wanted).every(([key, value]) => isLike(given[key], value));
}

function isData(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  return Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype;
}

/** The first that is like `wanted`. @throws AssertionError */
export function findLike<T>(what: string, all: readonly T[], wanted: unknown): T {
  const found = all.find((one) => isLike(one, wanted));
  if (found !== undefined) return found;
  throw new AssertionError({
    message: `expected ${what} like ${inspect(wanted, { depth: 6 })}; there ${list(all)}`,
    actual: all,
    expected: wanted,
    operator: "like",
  });
}

/** @throws AssertionError */
export function refuseLike(what: string, all: readonly unknown[], wanted: unknown): void {
  const found = all.find((one) => isLike(one, wanted));
  if (found === undefined) return;
  throw new AssertionError({
    message: `expected no ${what} like ${inspect(wanted, { depth: 6 })}; there is ${inspect(found, { depth: 6 })}`,
    actual: found,
    operator: "unlike",
  });
}

function list(all: readonly unknown[]): string {
  if (all.length === 0) return "is none";
  const more = all.length > SHOWN_MAX ? ` and ${all.length - SHOWN_MAX} more` : "";
  return `are ${inspect(all.slice(0, SHOWN_MAX), { depth: 6 })}${more}`;
}
