/** Standard Schemas (zod, valibot, arktype …) as options, and what they say about a value that does not fit. */

import type { StandardSchemaV1 } from "@standard-schema/spec";
import { PawlError, shown } from "../base/errors.ts";
import { cut } from "../base/text-cut.ts";
import { asText, read } from "../base/thrown.ts";
import { type Field, field } from "./field.ts";

const ISSUES_SHOWN_MAX = 20;
const ISSUES_READ_MAX = 1_000;
const ISSUE_CHARS_MAX = 300;
const PATH_PARTS_MAX = 30;

export function schema(help: string): Field<StandardSchemaV1> {
  return field<StandardSchemaV1>({
    kind: "schema",
    help,
    shape: "schema",
    expected: "a Standard Schema (zod, valibot, arktype …)",
    read: (given) => (hasValidator(given) ? given : undefined),
  });
}

function hasValidator(given: unknown): given is StandardSchemaV1 {
  return typeof read(read(given, "~standard"), "validate") === "function";
}

/**
 * What a validator found wrong, as text; undefined: it fits. `what`: such as `job "send"`. Only an object is an answer: if a validator
 * answers nothing, nothing is known to fit.
 */
export function issuesOf(what: string, result: unknown): string | undefined {
  if (typeof result === "object" && result !== null) {
    const issues = read(result, "issues") ?? undefined;
    return issues === undefined ? undefined : text(issues);
  }
  throw new TypeError(
    `${what}: its schema's \`validate\` returned ${shown(result)}, neither \`{ value }\` nor \`{ issues }\``,
  );
}

/**
 * Checks an input before it is written. `isAsGiven`: false if JSON changed what the caller gave. Returns a promise only for an
 * asynchronous schema: thousands of inputs are not worth thousands of turns.
 * @throws PawlError `invalid_payload` with the schema's issues
 */
export function checkInput(
  of: { what: string; kind: string; schema: StandardSchemaV1 },
  input: unknown,
  isAsGiven: boolean,
): Promise<void> | undefined {
  const result = of.schema["~standard"].validate(input);
  const refuse = (one: unknown) => refuseIssues(of, input, isAsGiven, one);
  return result instanceof Promise ? result.then(refuse) : refuse(result);
}

function refuseIssues(
  { what, kind }: { what: string; kind: string },
  input: unknown,
  isAsGiven: boolean,
  result: unknown,
): undefined {
  const issues = issuesOf(what, result);
  if (issues === undefined) return;
  const hint = isAsGiven
    ? ""
    : "; it is checked as its handler gets it, from JSON: a Date is a text there, so let the schema take one, such as z.iso.datetime() or z.coerce.date()";
  throw new PawlError(
    "invalid_payload",
    `${what}: the input does not fit its schema: ${issues}${hint}`,
    { data: { kind, input: shown(input) } },
  );
}

/** Whatever a validator calls its issues; the first of each field, so that every wrong field is named. */
function text(issues: unknown): string {
  const count = Number(read(issues, "length")) || 0;
  const texts = new Map<string, string>();
  for (let i = 0; i < Math.min(count, ISSUES_READ_MAX); i += 1) {
    const issue = read(issues, i);
    const where = whereOf(read(issue, "path"));
    const message = cut(asText(read(issue, "message") ?? "is not valid"), ISSUE_CHARS_MAX);
    if (!texts.has(where)) texts.set(where, where === "" ? message : `${where}: ${message}`);
  }
  if (texts.size === 0) return shown(issues);
  const shownIssues = [...texts.values()].slice(0, ISSUES_SHOWN_MAX);
  const more = count - shownIssues.length;
  return shownIssues.join("; ") + (more > 0 ? ` (and ${more} more)` : "");
}

function whereOf(path: unknown): string {
  const length = Math.min(Number(read(path, "length")) || 0, PATH_PARTS_MAX);
  const parts = Array.from({ length }, (_, i) => {
    const part = read(path, i);
    return asText(typeof part === "object" ? read(part, "key") : part);
  });
  return cut(parts.join("."), ISSUE_CHARS_MAX);
}
