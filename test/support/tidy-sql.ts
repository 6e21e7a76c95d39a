/** The layers of SQL: what a part makes in the schema, and who names it. Pure functions, as in `tidy-checks.ts`. */

import { posix } from "node:path";
import { LAYERS, type TextFile } from "./tidy-checks.ts";

const MIGRATION = /^src\/store\/migrations\/\d{4}_([a-z]+)(?:_[a-z_]+)?\.sql$/;
const FUNCTIONS = /^src\/([a-z]+)\/sql\/[a-z-]+\.sql$/;
const STATEMENTS = /^src\/([a-z]+)\/(?:.*\/)?sql\.ts$/;
const MADE = /^create (?:or replace )?(?:table|sequence|function|view) pawl\.(\w+)/gm;
const FUNCTION_LINES_MAX = 80;
const STEP_LINES_MAX = 40;
const COMMENT = /--.*$|^\s*(?:\/\/|\/\*|\*).*$/gm;

/** The part that makes each table and function; one that a migration declares is of the migration's part. */
export function ownersOf(files: readonly TextFile[]): Map<string, string> {
  const owners = new Map<string, string>();
  for (const pattern of [MIGRATION, FUNCTIONS]) {
    for (const { path, text } of files) {
      const part = pattern.exec(path)?.[1];
      if (part === undefined) continue;
      for (const [, name = ""] of text.matchAll(MADE)) {
        if (!owners.has(name)) owners.set(name, part);
      }
    }
  }
  return owners;
}

/** Names of what a part above has made: in migrations, functions and files of statements. */
export function upwardSql(files: readonly TextFile[]): string[] {
  const owners = ownersOf(files);
  return files.flatMap((file) => {
    const part = partOf(file.path);
    if (part === undefined) return [];
    return [...namesIn(file)].flatMap((name) => {
      const owner = owners.get(name) ?? part;
      return rank(owner) > rank(part) ? [`${file.path}: ${name} of ${owner}`] : [];
    });
  });
}

/** A part lets the roles call what it has made, and nothing else. */
export function foreignCalls(files: readonly TextFile[]): string[] {
  const owners = ownersOf(files);
  return files.flatMap((file) => {
    if (posix.basename(file.path) !== "roles.sql") return [];
    const lists = [...file.text.matchAll(/'\{([^}]*)\}'/g)].map((found) => found[1] ?? "");
    return lists
      .flatMap((list) => list.match(/\w+/g) ?? [])
      .filter((name) => owners.get(name) !== partOf(file.path))
      .map((name) => `${file.path}: ${name}`);
  });
}

/** How the kernel stores tasks: only its own SQL names these. */
const STORAGE = /\bpawl\.(?:task|dead|finished|claim|shard)\b(?![.(])/g;

/** Who else names one of them, and why. */
const STORAGE_ALLOWED: ReadonlyMap<string, { names: readonly string[]; why: string }> = new Map([
  ["src/queue/sql/enqueue.sql", { names: ["pawl.task"], why: "thousands in one statement" }],
  ["src/outbox/sql/router.sql", { names: ["pawl.task"], why: "thousands, with their deliveries" }],
  ["src/outbox/sql/replay-steps.sql", { names: ["pawl.task"], why: "as the router" }],
  [
    "src/outbox/sql/replays.sql",
    { names: ["pawl.task", "pawl.dead"], why: "for each pair: twice as slow through views" },
  ],
]);

/** Parts above the kernel, and operators, use its functions and views: how tasks are stored may change below. */
export function storageUses(files: readonly TextFile[]): string[] {
  return files.flatMap(({ path, text }) => {
    const part = /^src\/([a-z]+)\/.*\.(?:sql|ts)$/.exec(path)?.[1];
    if (part === undefined || path.startsWith("src/store/migrations/")) return [];
    const isAbove = rank(part) > rank("kernel") || path.startsWith("src/kernel/operator/");
    if (!isAbove) return [];
    const named = new Set(text.replace(COMMENT, "").match(STORAGE));
    return [...named]
      .filter((name) => STORAGE_ALLOWED.get(path)?.names.includes(name) !== true)
      .map((name) => `${path}: ${name}`);
  });
}

/** Exceptions that nothing needs any more. */
export function unusedExceptions(files: readonly TextFile[]): string[] {
  return [...STORAGE_ALLOWED].flatMap(([path, { names }]) => {
    const text = files.find((file) => file.path === path)?.text.replace(COMMENT, "") ?? "";
    const named: readonly string[] = text.match(STORAGE) ?? [];
    return names.every((name) => named.includes(name)) ? [] : [path];
  });
}

/**
 * Functions that are too long to read at once. One that cannot be cut names its steps: a list above it (`-- 1. lock`), and each of
 * these lines again where its step begins; then no step is too long.
 */
export function longFunctions(files: readonly TextFile[]): string[] {
  return files
    .filter((file) => FUNCTIONS.test(file.path))
    .flatMap((file) => functionsOf(file.text).flatMap((one) => tooLong(file.path, one)));
}

interface SqlFunction {
  name: string;
  above: string[];
  body: string[];
}

function tooLong(path: string, { name, above, body }: SqlFunction): string[] {
  if (body.length <= FUNCTION_LINES_MAX) return [];
  const listed = above.flatMap(stepOf);
  const begins = body.flatMap((line, at) => stepOf(line).map((step) => ({ step, at })));
  const isNamed = listed.every((step, at) => step.startsWith(`${at + 1}. `)) && listed.length > 1;
  if (!isNamed || listed.join("\n") !== begins.map(({ step }) => step).join("\n")) {
    return [`${path}: ${name} has ${body.length} lines and names no steps`];
  }
  return begins.flatMap(({ step, at }, place) => {
    const lines = (begins[place + 1]?.at ?? body.length) - at;
    return lines > STEP_LINES_MAX ? [`${path}: ${name} has ${lines} lines in "${step}"`] : [];
  });
}

/** Each with the comment above it. It ends with the first `;` at a line's end outside of `$$`. */
function functionsOf(text: string): SqlFunction[] {
  const lines = text.split("\n");
  return lines.flatMap((line, at) => {
    const name = /^create or replace function pawl\.(\w+)/.exec(line)?.[1];
    if (name === undefined) return [];
    const above = lines.slice(lines.lastIndexOf("", at) + 1, at);
    let end = at;
    while (end < lines.length - 1 && !isEnd(lines.slice(at, end + 1))) end += 1;
    return [{ name, above, body: lines.slice(at, end + 1) }];
  });
}

function isEnd(lines: string[]): boolean {
  const isOutside = lines.join("\n").split("$$").length % 2 === 1;
  return isOutside && /;\s*(?:--.*)?$/.test(lines.at(-1) ?? "");
}

function stepOf(line: string): string[] {
  return /^\s*-- (\d+\. .+)$/.exec(line)?.slice(1) ?? [];
}

function namesIn({ text }: TextFile): Set<string> {
  const code = text.replace(COMMENT, "");
  return new Set([...code.matchAll(/\bpawl\.(\w+)/g)].map((found) => found[1] ?? ""));
}

function partOf(path: string): string | undefined {
  if (/^src\/store\/.*\.ts$/.test(path)) return "store";
  const [, part] = MIGRATION.exec(path) ?? FUNCTIONS.exec(path) ?? STATEMENTS.exec(path) ?? [];
  return part;
}

/** What is no layer ranks below all: a migration that names no part names everything upwards. */
function rank(part: string): number {
  return (LAYERS as readonly string[]).indexOf(part);
}
